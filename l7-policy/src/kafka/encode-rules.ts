import type { KafkaRule } from '../types/l7-rule.ts';
import {
  BUCKETS_AT,
  COUNT_AT,
  combine,
  DISTINCT_AT,
  HEADS_AT,
  hash,
  KEY_SET_BYTES,
  RECORD_BYTES,
  RECORD_CLIENT,
  RECORD_ID,
  RECORD_KEYS,
  RECORD_NEXT,
  RECORD_TEXT,
  RECORD_TOPIC,
  RECORD_VERSION,
  SIZE_AT,
} from './rule-table.ts';

/** Bytes of UTF-8 for a unit of a string, at most. */
const UNIT_BYTES = 3;

/** The bytes that `RuleTable` looks into: the Kafka rules of one side, in order, and their index. */
export function encodeKafkaRules(rules: readonly KafkaRule[]): Uint8Array {
  const buckets = 2 ** Math.ceil(Math.log2(Math.max(rules.length, 1)));
  const distinct = distinctRules(rules);
  const recordsAt = HEADS_AT + (buckets + distinct.length) * 4;
  const textsAt = recordsAt + rules.length * RECORD_BYTES;
  const most = rules.reduce((size, { id, clientId, topic }) => {
    const units = id.length + (clientId?.length ?? 0) + (topic?.length ?? 0);
    return size + KEY_SET_BYTES + UNIT_BYTES * units;
  }, textsAt);
  const bytes = Buffer.alloc(most);
  const numbers = new DataView(bytes.buffer, bytes.byteOffset, most);
  numbers.setInt32(COUNT_AT, rules.length);
  numbers.setInt32(BUCKETS_AT, buckets);
  numbers.setInt32(DISTINCT_AT, distinct.length);
  bytes.fill(0xff, HEADS_AT, HEADS_AT + buckets * 4);
  distinct.forEach((rule, index) => {
    numbers.setInt32(HEADS_AT + (buckets + index) * 4, rule);
  });

  let at = textsAt;
  /** Writes a text, its size into a record (-1: none), and gives its hash. */
  const text = (value: string | null, sizeAt: number): number => {
    const start = at;
    if (value !== null) at += bytes.write(value, at);
    numbers.setInt16(sizeAt, value === null ? -1 : at - start);
    return value === null ? 0 : hash(bytes, start, at - start);
  };
  rules.forEach(({ id, apiKeys, apiVersion, clientId, topic }, index) => {
    const record = recordsAt + index * RECORD_BYTES;
    numbers.setInt32(record + RECORD_TEXT, at);
    numbers.setInt16(record + RECORD_VERSION, apiVersion ?? -1);
    numbers.setInt16(record + RECORD_KEYS, apiKeys === null ? 0 : KEY_SET_BYTES);
    if (apiKeys !== null) {
      for (const key of apiKeys) {
        const byte = at + (key >> 3);
        numbers.setUint8(byte, numbers.getUint8(byte) | (1 << (key & 7)));
      }
      at += KEY_SET_BYTES;
    }
    const client = text(clientId, record + RECORD_CLIENT);
    const key = combine(text(topic, record + RECORD_TOPIC), client);
    text(id, record + RECORD_ID);
    const head = HEADS_AT + (key & (buckets - 1)) * 4;
    numbers.setInt32(record + RECORD_NEXT, numbers.getInt32(head));
    numbers.setInt32(head, index);
  });
  numbers.setInt32(SIZE_AT, at);
  return bytes.subarray(0, at);
}

/** Of rules that differ in nothing but which topic they name, the first. */
function distinctRules(rules: readonly KafkaRule[]): readonly number[] {
  const seen = new Map<string, number>();
  rules.forEach((rule, index) => {
    const before = rules[index - 1];
    if (before !== undefined && isAlike(rule, before)) return;
    const kind = JSON.stringify([rule.apiKeys, rule.apiVersion, rule.clientId, rule.topic === null]);
    if (!seen.has(kind)) seen.set(kind, index);
  });
  return [...seen.values()];
}

/** Whether two rules differ in nothing but which topic they name; false at times when that is so. */
function isAlike(a: KafkaRule, b: KafkaRule): boolean {
  return (
    a.apiKeys === b.apiKeys &&
    a.apiVersion === b.apiVersion &&
    a.clientId === b.clientId &&
    (a.topic === null) === (b.topic === null)
  );
}
