/** Counters since the start, and gauges of now. */
export interface Metrics {
  readonly streamsOpen: number;
  readonly streamsOpened: number;
  readonly clientsConnected: number;
  readonly requests: number;
  readonly requestBytes: number;
  readonly pushes: number;
  readonly pushedBytes: number;
  readonly acks: number;
  readonly nacks: number;
  readonly staleNonces: number;
  readonly quarantined: number;
  readonly streamsRefused: number;
  /** Responses that clients have not answered yet. */
  readonly unanswered: number;
  /** Streams that wait for their turn to be written to. */
  readonly queued: number;
  /** Upper bounds in milliseconds, and how many ACKs came within each; the last bound is Infinity. */
  readonly ackLatency: readonly { readonly leMs: number; readonly count: number }[];
}
