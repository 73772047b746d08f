import { createHash } from 'node:crypto';
import { encodeKafkaRules, type KafkaRule, type L7Slot } from '@weir/l7-policy';

/** First bytes of a configuration: the format that `Policy.configure` of the filter reads. */
const format = 0x574b_0002;

/** A class as the filter wants it. A side without rules is null: it allows everything. */
export interface KafkaFilterInput {
  readonly id: string;
  readonly egress: readonly L7Slot[] | null;
  readonly ingress: readonly L7Slot[] | null;
  /**
   * Differs whenever the rules do, also from every version before. Envoy keeps a plugin for each configuration, and
   * would not tell the filter of one that it still has: rules that come back would not come into force.
   */
  readonly revision: string;
}

/**
 * What the filter is configured with: the class, the scope of the topic ids that it learns, and the rules of each
 * side. Equal rules and revisions give equal bytes, in whatever order the slots come.
 */
export function kafkaFilterConfig(input: KafkaFilterInput): Uint8Array {
  return withRevision(kafkaFilterContent(input), input.revision);
}

/** A configuration but for its revision: what stands before that, and behind. */
export interface KafkaFilterContent {
  readonly head: Buffer;
  readonly rules: Buffer;
}

/** Encodes what the rules in force depend on. */
export function kafkaFilterContent({
  id,
  egress,
  ingress,
}: Omit<KafkaFilterInput, 'revision'>): KafkaFilterContent {
  const start = Buffer.alloc(4);
  start.writeInt32BE(format);
  const sides = [egress, ingress];
  return {
    head: Buffer.concat([start, text(id), text(idScope(egress, ingress))]),
    rules: Buffer.concat([
      Buffer.from([(egress === null ? 0 : 1) | (ingress === null ? 0 : 2)]),
      ...sides.flatMap((slots) => (slots === null ? [] : [encodeKafkaRules(rulesOf(slots))])),
    ]),
  };
}

/** The whole configuration. */
export function withRevision({ head, rules }: KafkaFilterContent, revision: string): Uint8Array {
  return Buffer.concat([head, text(revision), rules]);
}

/** The Kafka rules of slots, in the order of their ids, each once. */
export function rulesOf(slots: readonly L7Slot[]): readonly KafkaRule[] {
  const seen = new Set<string>();
  const rules: KafkaRule[] = [];
  for (const slot of [...slots].sort((left, right) => (left.id < right.id ? -1 : 1))) {
    for (const rule of slot.rules) {
      if (rule.kind !== 'kafka' || seen.has(rule.id)) continue;
      seen.add(rule.id);
      rules.push(rule);
    }
  }
  return rules;
}

/**
 * Topic ids are believed of those brokers that the same slots lead to: of the brokers that are protected, where they
 * are; of those that a client may reach by the same rules, elsewhere.
 */
function idScope(egress: readonly L7Slot[] | null, ingress: readonly L7Slot[] | null): string {
  const slots = (ingress ?? egress ?? []).map((slot) => slot.id).sort();
  return createHash('sha256').update(slots.join(',')).digest('hex').slice(0, 16);
}

function text(value: string): Buffer {
  const bytes = Buffer.from(value);
  const size = Buffer.alloc(2);
  size.writeInt16BE(bytes.length);
  return Buffer.concat([size, bytes]);
}
