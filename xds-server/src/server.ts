import type { Client, ClientId, ClientNode, Peer } from './client.ts';
import type { Clock } from './clock.ts';
import type { XdsEvent } from './events.ts';
import type { InForce, InForceRequest, Refusal, Target } from './in-force.ts';
import type { Limits } from './limits.ts';
import type { Metrics } from './metrics.ts';
import type { Resource, ResourceRef } from './resource.ts';
import type { Session, Transport } from './transport.ts';

/** Name of a collection of resources. A client's view is a stack of layers; a later one hides an earlier. */
export type LayerName = string;

/** The layer that is meant where none is named, and the only one that a client sees without `layers`. */
export const sharedLayer: LayerName = 'shared';

export interface XdsServerOptions {
  /** Which layers a client sees, in order; asked once per stream. Left out: the shared one. */
  readonly layers?: (node: ClientNode) => readonly LayerName[];
  /**
   * Whether a client may have a stream at all; asked at its first request. Refused streams end with
   * PERMISSION_DENIED and the reason. Left out: whoever can reach the socket may.
   */
  readonly authorize?: (node: ClientNode, peer: Peer) => Authorization | Promise<Authorization>;
  /** Takes requests but answers none until `ready()`: a new server must not delete what clients have. */
  readonly hold?: boolean;
  readonly limits?: Partial<Limits>;
  readonly clock?: Clock;
}

export type Authorization =
  | { readonly kind: 'allowed' }
  | { readonly kind: 'denied'; readonly reason: string };

/** One atomic change of one layer. A name that is both set and removed, or set twice, is an error. */
export interface Update {
  readonly layer?: LayerName;
  readonly set?: readonly Resource[];
  readonly remove?: readonly ResourceRef[];
}

export type ListenAddress =
  | { readonly kind: 'unix'; readonly path: string; readonly mode?: number }
  | { readonly kind: 'tcp'; readonly host: string; readonly port: number; readonly tls?: TlsOptions };

/** PEM files' contents. With `clientCa` a client must show a certificate that it signed. */
export interface TlsOptions {
  readonly key: Uint8Array;
  readonly certificate: Uint8Array;
  readonly clientCa?: Uint8Array;
}

/** An open listening socket; `port` is 0 for a unix socket. */
export interface Listening {
  readonly address: ListenAddress;
  readonly port: number;
}

/** How one client stands to one resource that it subscribed to. */
export type ResourceStatus =
  | { readonly kind: 'in-force'; readonly version: string }
  /** There is no such resource, and the client knows. */
  | { readonly kind: 'absent' }
  | { readonly kind: 'waiting' | 'sent'; readonly version: string | null }
  | { readonly kind: 'refused'; readonly refusal: Refusal };

/** A generic xDS control server. */
export interface XdsServer {
  /**
   * Applies changes at once, all of them or, when one is malformed, none (throws). Pushes follow in
   * the order that xDS asks for: clusters, endpoints, listeners, routes; removals last and backwards.
   * Equal content changes nothing. Returns what to wait for, also for what was equal already.
   */
  readonly update: (...updates: readonly Update[]) => readonly Target[];
  /** What is set now under these names in a layer; an absent name gives a target that awaits its absence. */
  readonly targets: (refs: readonly ResourceRef[], layer?: LayerName) => readonly Target[];
  /** Everything a layer holds. */
  readonly resources: (layer?: LayerName) => readonly Resource[];
  /** Waits until clients have accepted the targets; never rejects. */
  readonly inForce: (request: InForceRequest) => Promise<InForce>;
  /** Ends `hold`: answers flow from now on. */
  readonly ready: () => void;
  readonly clients: () => readonly Client[];
  /** How a client stands to what it subscribed to, by type URL and name; undefined: not connected. */
  readonly status: (id: ClientId) => ReadonlyMap<string, ReadonlyMap<string, ResourceStatus>> | undefined;
  /** Everything that is held back from some client now. */
  readonly refusals: () => readonly Refusal[];
  /** Calls `handler` on every event until the result is called. */
  readonly subscribe: (handler: (event: XdsEvent) => void) => () => void;
  readonly metrics: () => Metrics;
  /** Takes a stream from a transport of the caller's own; `listen` does so for gRPC. */
  readonly open: (transport: Transport) => Session;
  readonly listen: (address: ListenAddress) => Promise<Listening>;
  /** Takes no new stream, lets unanswered responses finish until the deadline, then ends all streams. */
  readonly close: (options?: { readonly drainMs?: number }) => Promise<void>;
}
