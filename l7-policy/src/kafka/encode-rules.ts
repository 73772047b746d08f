import type { KafkaRule } from '../types/l7-rule.ts';

/** Bytes of a rule beside its texts and keys. */
const FIXED_BYTES = 10;
/** Bytes of UTF-8 for a unit of a string, at most. */
const UNIT_BYTES = 3;

/** The bytes that `RuleTable` reads: the Kafka rules of one side, in order. */
export function encodeKafkaRules(rules: readonly KafkaRule[]): Uint8Array {
  const most = rules.reduce((bytes, { id, apiKeys, clientId, topic }) => {
    const units = id.length + (clientId?.length ?? 0) + (topic?.length ?? 0);
    return bytes + FIXED_BYTES + UNIT_BYTES * units + 2 * (apiKeys?.length ?? 0);
  }, 4);
  const bytes = Buffer.allocUnsafe(most);
  let at = bytes.writeInt32BE(rules.length, 0);
  const text = (value: string | null): void => {
    const size = value === null ? -1 : bytes.write(value, at + 2);
    bytes.writeInt16BE(size, at);
    at += 2 + Math.max(size, 0);
  };
  for (const { id, apiKeys, apiVersion, clientId, topic } of rules) {
    const idSize = bytes.write(id, at + 4);
    bytes.writeInt16BE(idSize, at);
    bytes.writeInt16BE(apiKeys?.length ?? -1, at + 2);
    at += 4 + idSize;
    for (const key of apiKeys ?? []) at = bytes.writeInt16BE(key, at);
    at = bytes.writeInt16BE(apiVersion ?? -1, at);
    text(clientId);
    text(topic);
  }
  return bytes.subarray(0, at);
}
