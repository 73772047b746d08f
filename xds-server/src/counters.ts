import type { Metrics } from './metrics.ts';

/** Upper bounds of the acknowledgement latency's buckets. */
const boundsMs = [1, 2, 5, 10, 25, 50, 100, 250, 500, 1_000, 2_500, 5_000, 15_000, Number.POSITIVE_INFINITY];

/** What the parts of a server count while they run. */
export interface Counters {
  streamsOpened: number;
  streamsOpen: number;
  requests: number;
  requestBytes: number;
  pushes: number;
  pushedBytes: number;
  acks: number;
  nacks: number;
  staleNonces: number;
  quarantined: number;
  streamsRefused: number;
  unanswered: number;
  readonly ackLatency: number[];
}

export function createCounters(): Counters {
  return {
    streamsOpened: 0,
    streamsOpen: 0,
    requests: 0,
    requestBytes: 0,
    pushes: 0,
    pushedBytes: 0,
    acks: 0,
    nacks: 0,
    staleNonces: 0,
    quarantined: 0,
    streamsRefused: 0,
    unanswered: 0,
    ackLatency: boundsMs.map(() => 0),
  };
}

export function countAck(counters: Counters, latencyMs: number): void {
  counters.acks += 1;
  let bucket = 0;
  while (latencyMs > (boundsMs[bucket] ?? Number.POSITIVE_INFINITY)) bucket += 1;
  counters.ackLatency[bucket] = (counters.ackLatency[bucket] ?? 0) + 1;
}

/** The counters as a value; buckets become cumulative. */
export function metricsOf(counters: Counters, now: { clientsConnected: number; queued: number }): Metrics {
  let sum = 0;
  const ackLatency = counters.ackLatency.map((count, bucket) => {
    sum += count;
    return Object.freeze({ leMs: boundsMs[bucket] ?? Number.POSITIVE_INFINITY, count: sum });
  });
  return Object.freeze({ ...counters, ...now, ackLatency });
}
