import type { KafkaRule } from '../types/l7-rule.ts';

/** The bytes that `RuleTable` reads: the Kafka rules of one side, in order. */
export function encodeKafkaRules(rules: readonly KafkaRule[]): Uint8Array {
  const parts: Buffer[] = [int32(rules.length)];
  for (const { id, apiKeys, apiVersion, clientId, topic } of rules) {
    const keys = apiKeys ?? [];
    parts.push(int16(Buffer.byteLength(id)), int16(apiKeys === null ? -1 : keys.length), Buffer.from(id));
    parts.push(...keys.map(int16), int16(apiVersion ?? -1), text(clientId), text(topic));
  }
  return Buffer.concat(parts);
}

function text(value: string | null): Buffer {
  if (value === null) return int16(-1);
  const bytes = Buffer.from(value);
  return Buffer.concat([int16(bytes.length), bytes]);
}

function int16(value: number): Buffer {
  const bytes = Buffer.alloc(2);
  bytes.writeInt16BE(value);
  return bytes;
}

function int32(value: number): Buffer {
  const bytes = Buffer.alloc(4);
  bytes.writeInt32BE(value);
  return bytes;
}
