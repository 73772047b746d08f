/** Bounds on what clients may cost. A stream that passes one is ended with RESOURCE_EXHAUSTED. */
export interface Limits {
  /** Streams open at once, all clients together. */
  readonly streams: number;
  /** Streams open at once under one node id. */
  readonly streamsPerClient: number;
  /** Types that one stream may ask for. */
  readonly typesPerStream: number;
  /** Names that one stream may subscribe to, all types together. */
  readonly namesPerStream: number;
  /** Bytes of one resource name. */
  readonly nameBytes: number;
  /** Bytes of one request; a large delta reconnect names every resource that the client has. */
  readonly requestBytes: number;
  /** Bytes of one response. A delta answer is split to fit; a resource that does not fit is quarantined. */
  readonly responseBytes: number;
  /** How long a stream may stay silent before its first request. */
  readonly firstRequestMs: number;
  /** How often a quiet connection is asked whether it still lives, and how long it may take to say so. */
  readonly keepaliveMs: number;
  /** How long a type waits for the ones before it (clusters before listeners) when these do not move. */
  readonly orderingPatienceMs: number;
}

/** Room for a node proxy with tens of thousands of resources; responses fit grpc-go's receive limit of 4 MiB. */
export const defaultLimits: Limits = Object.freeze({
  streams: 20_000,
  streamsPerClient: 2_000,
  typesPerStream: 32,
  namesPerStream: 200_000,
  nameBytes: 4_096,
  requestBytes: 64 * 1024 * 1024,
  responseBytes: 4 * 1024 * 1024 - 1024,
  firstRequestMs: 30_000,
  keepaliveMs: 30_000,
  orderingPatienceMs: 5_000,
});

/** The bounds that hold while a request is read. */
export type RequestLimits = Pick<Limits, 'nameBytes'>;
