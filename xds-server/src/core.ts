import type { Client, ClientId } from './client.ts';
import type { Clock } from './clock.ts';
import type { Counters } from './counters.ts';
import type { Encoder } from './encoder.ts';
import type { XdsEvent } from './events.ts';
import type { NameState, Quarantined } from './ledger.ts';
import type { Limits } from './limits.ts';
import type { Listing } from './listing.ts';
import type { NodeReader } from './node-reader.ts';
import type { XdsServerOptions } from './server.ts';
import type { Store } from './store.ts';
import type { Stored } from './stored.ts';
import type { Turns } from './turns.ts';
import type { View } from './view.ts';
import type { Chunk } from './view-chunks.ts';

/** What the streams of one server share. */
export interface Core {
  readonly options: XdsServerOptions;
  readonly limits: Limits;
  readonly clock: Clock;
  readonly store: Store;
  readonly encoder: Encoder;
  readonly readNode: NodeReader;
  readonly turns: Turns;
  readonly counters: Counters;
  readonly chunks: (listing: Listing) => readonly Chunk[];
  readonly whole: (listing: Listing) => readonly Chunk[];
  readonly clients: Map<ClientId, ConnectedClient>;
  /** By type URL and name: resources that some client refused, as they were then. */
  readonly poisoned: Map<string, Stored>;
  readonly emit: (event: XdsEvent) => void;
  /** Whether anybody gets events: those of every push are not even made otherwise. */
  readonly observed: () => boolean;
  readonly connected: (client: ConnectedClient) => void;
  readonly disconnected: (client: ConnectedClient) => void;
  /** A client's standing to some names of a type may have changed. */
  readonly settled: (client: ConnectedClient, typeUrl: string) => void;
  readonly holding: () => boolean;
  readonly nextStream: () => number;
}

/** A client with its streams. */
export interface ConnectedClient {
  client: Client;
  /** Of its newest stream. */
  view: View;
  readonly streams: Set<ClientStream>;
}

/** What the rest of the server asks a stream. */
export interface ClientStream {
  readonly number: number;
  /** How the stream's client stands to a name; `not-subscribed` if it never asked. */
  readonly state: (typeUrl: string, name: string) => NameState;
  /** Names by type URL that the stream subscribes to, those of a wildcard included. */
  readonly subscribed: () => ReadonlyMap<string, readonly string[]>;
  /** Everything that is held back from this stream's client. */
  readonly quarantined: () => readonly { readonly typeUrl: string; readonly quarantined: Quarantined }[];
  readonly wake: () => void;
  /** Whether a response waits for its answer. */
  readonly unanswered: () => boolean;
  readonly end: (reason: string) => void;
}

export function poisonKey({ typeUrl, name }: { readonly typeUrl: string; readonly name: string }): string {
  return `${typeUrl}\0${name}`;
}
