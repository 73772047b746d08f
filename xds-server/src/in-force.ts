import type { Client, ClientId } from './client.ts';
import type { ResourceRef, Version } from './resource.ts';

/** A state of one resource to wait for. Null: the client does not have it, or has given it up. */
export interface Target extends ResourceRef {
  readonly version: Version | null;
  /** Clients whose view shows another layer's resource under this name are not concerned. */
  readonly layer: string;
  /** Which update made it so: a client that accepted this or a later one of the same name satisfies it. */
  readonly serial: number;
}

export interface InForceRequest {
  /** As `update` returned them; `server.targets` makes them for what is set already. */
  readonly targets: readonly Target[];
  /** Which clients must have it; left out: all. One that connects later joins, and at least one must. */
  readonly clients?: (client: Client) => boolean;
  readonly deadlineMs: number;
  /** Gives up with `kind: 'aborted'`. */
  readonly signal?: AbortSignal;
}

/** A resource that a client does not take. */
export interface Refusal {
  readonly client: ClientId;
  readonly ref: ResourceRef;
  /** What was refused; null: its removal. */
  readonly version: Version | null;
  /** What stays in force at the client, if anything. */
  readonly accepted: string | null;
  readonly reason: RefusalReason;
}

export type RefusalReason =
  /** The client's own words (`error_detail.message`) on the response that held only this resource. */
  | { readonly kind: 'nack'; readonly detail: string }
  /** Larger than `limits.responseBytes`, so never sent. */
  | { readonly kind: 'oversize'; readonly bytes: number };

/** What has not been accepted yet, and how far it came. */
export interface Outstanding {
  readonly client: ClientId;
  readonly ref: ResourceRef;
  readonly state: 'not-subscribed' | 'waiting' | 'sent';
}

/** Result of `inForce`. Only `in-force` says that traffic may rely on it. */
export type InForce =
  | { readonly kind: 'in-force'; readonly clients: readonly ClientId[] }
  | { readonly kind: 'refused'; readonly refusals: readonly Refusal[] }
  /** These were connected and lost their last stream before they had accepted everything. */
  | { readonly kind: 'disconnected'; readonly clients: readonly ClientId[] }
  /** An empty list: no client that fits was connected. */
  | { readonly kind: 'deadline'; readonly outstanding: readonly Outstanding[] }
  | { readonly kind: 'aborted' };
