/** The table that the engine and the filter look Kafka rules up in, against a plain reading of the rules. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { encodeKafkaRules, type KafkaRule, type RuleId } from '@weir/l7-policy';
import fc from 'fast-check';
import { CLASS_EXPLICIT, CLASS_TOPIC, RuleTable } from '../../l7-policy/src/kafka/rule-table.ts';

const runs = Number(process.env['WEIR_PROPERTY_RUNS'] ?? '300');
const names = ['', 'a', 'b', 'ab', 'ä', 'orders'];
const keys = [0, 1, 7, 8, 15, 16, 91, 127];
const maybe = <T>(values: readonly T[]) => fc.constantFrom(null, ...values);
const rules = fc
  .array(
    fc.record({
      apiKeys: fc.option(fc.uniqueArray(fc.constantFrom(...keys))),
      apiVersion: maybe([0, 3]),
      clientId: maybe(names),
      topic: maybe(names),
    }),
    { maxLength: 12 },
  )
  .map((all) =>
    all.map((rule, index): KafkaRule => ({ kind: 'kafka', id: `rule-${index}` as RuleId, ...rule })),
  );
const request = fc.record({
  apiKey: fc.constantFrom(...keys, -1, 128),
  apiVersion: fc.constantFrom(0, 3, 4),
  apiClass: fc.constantFrom(CLASS_TOPIC, CLASS_EXPLICIT),
  client: fc.constantFrom(...names),
  /** Null asks for all topics. */
  topic: maybe(names),
});
type Request = typeof request extends fc.Arbitrary<infer T> ? T : never;

function takes(rule: KafkaRule, { apiKey, apiVersion, apiClass, client }: Request): boolean {
  const key =
    rule.apiKeys === null
      ? apiClass !== CLASS_EXPLICIT || rule.topic === null
      : rule.apiKeys.includes(apiKey);
  return key && (rule.apiVersion ?? apiVersion) === apiVersion && (rule.clientId ?? client) === client;
}

test('the first rule that lets a topic or a request through is found, and its id', () => {
  const property = fc.property(rules, request, (all, asked) => {
    const table = new RuleTable(encodeKafkaRules(all), 0);
    const [client, topic] = [Buffer.from(asked.client), Buffer.from(asked.topic ?? '')];
    const { apiKey, apiVersion, apiClass } = asked;
    const size = asked.topic === null ? -1 : topic.length;
    const found = table.forTopic(apiKey, apiVersion, apiClass, client, 0, client.length, topic, 0, size);
    const covers = (rule: KafkaRule) => rule.topic === null || rule.topic === asked.topic;
    assert.equal(
      found,
      all.findIndex((rule) => takes(rule, asked) && covers(rule)),
    );
    const any = table.forAnyOf(apiKey, apiVersion, apiClass, client, 0, client.length);
    assert.equal(
      any,
      all.findIndex((rule) => takes(rule, asked)),
    );
    for (const [index, { id }] of all.entries()) {
      const start = table.idStart(index);
      assert.equal(Buffer.from(table.source).toString('utf8', start, start + table.idSize(index)), id);
    }
  });
  fc.assert(property, { numRuns: runs });
});

test('bytes that cannot hold what their header promises allow nothing', () => {
  const topic = Buffer.from('a');
  const rule: KafkaRule = {
    kind: 'kafka',
    id: 'any' as RuleId,
    apiKeys: null,
    apiVersion: null,
    clientId: null,
    topic: null,
  };
  const good = Buffer.from(encodeKafkaRules([rule]));
  const look = (bytes: Uint8Array, start = 0): readonly number[] => {
    const table = new RuleTable(bytes, start);
    const asked = [0, 0, CLASS_TOPIC, topic, 0, 1] as const;
    return [table.end, table.forTopic(...asked, topic, 0, 1), table.forAnyOf(...asked)];
  };
  assert.deepEqual(look(good), [good.length, 0, 0]);
  assert.deepEqual(look(Buffer.concat([topic, good]), 1), [good.length + 1, 0, 0]);
  for (let size = 0; size < good.length; size++)
    assert.deepEqual(look(good.subarray(0, size)), [-1, -1, -1], `${size} bytes`);
  for (let at = 0; at < 16; at += 4) {
    for (const number of [-1, 3, 2 ** 30, 2 ** 31 - 1]) {
      const bad = Buffer.from(good);
      bad.writeInt32BE(number, at);
      assert.equal(look(bad)[0], -1, `${number} at ${at}`);
    }
  }
});
