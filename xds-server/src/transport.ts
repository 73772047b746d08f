import type { Peer } from './client.ts';
import type { Variant } from './events.ts';

/** gRPC status codes that a stream of ours can end with. */
export const statusCode = Object.freeze({
  ok: 0,
  invalidArgument: 3,
  deadlineExceeded: 4,
  permissionDenied: 7,
  resourceExhausted: 8,
  unimplemented: 12,
  internal: 13,
  unavailable: 14,
});

export interface EndStatus {
  readonly code: (typeof statusCode)[keyof typeof statusCode];
  readonly details: string;
}

/** The client's end of one stream, whatever carries it. `listen` makes these from gRPC calls. */
export interface Transport {
  readonly variant: Variant;
  /** Of a single service, such as LDS; null: aggregated, each request says its type. */
  readonly typeUrl: string | null;
  readonly peer: Peer;
  /** Sends one serialized response, in parts that follow each other. They are shared: do not write to them. */
  readonly send: (parts: readonly Uint8Array[]) => void;
  readonly end: (status: EndStatus) => void;
}

/** The server's end of one stream. */
export interface Session {
  /** One serialized request. */
  readonly receive: (bytes: Uint8Array) => void;
  /** No more requests came at once: what they ask for may be sent. Otherwise it is a turn later. */
  readonly allReceived: () => void;
  /** The client is gone. */
  readonly closed: (reason: string) => void;
}
