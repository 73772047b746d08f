import type { Peer } from '../access-record.ts';

/** Verdicts in the order of the filter's numbers (`kafka-filter/reports.ts`). */
export const kafkaVerdicts = ['allowed', 'denied', 'partial', 'closed'] as const;

/** Reasons in the order of the filter's numbers. */
export const kafkaReasons = [
  'none',
  'rules',
  'session',
  'unknown-topic-id',
  'malformed',
  'unknown-api',
  'too-large',
  'memory',
  'pipeline',
  'answer',
  'revoked',
] as const;

/** A topic that a request names. One that came by an id nobody has named has no name. */
export interface KafkaTopic {
  readonly name: string;
  readonly refused: boolean;
}

/** One Kafka request that came to the filter, as the filter tells it. */
export interface KafkaReport {
  /** Class id, equal to the listener's name. */
  readonly classId: string;
  /** Milliseconds since the epoch. */
  readonly atMs: number;
  readonly source: Peer;
  readonly destination: Peer;
  readonly apiKey: number;
  readonly apiVersion: number;
  readonly correlationId: number;
  readonly clientId: string;
  /** `partial`: refused topics were left out; `closed`: the connection was. */
  readonly verdict: (typeof kafkaVerdicts)[number];
  readonly reason: (typeof kafkaReasons)[number];
  /** Sides whose rules refused something. */
  readonly refusedBy: readonly ('egress' | 'ingress')[];
  /** The first of them; `topicCount` counts all. */
  readonly topics: readonly KafkaTopic[];
  readonly topicCount: number;
  /** Ids of the rules that let something through, of each side. */
  readonly egressRules: readonly string[];
  readonly ingressRules: readonly string[];
}
