/** Every API in every version, built from Kafka's schemas, through the sources of the filter. */
import assert from 'node:assert/strict';
import { before, describe, test } from 'node:test';
import {
  createKafkaFilterInNode,
  type KafkaConnectionInNode,
  type KafkaFilterInNode,
  kafkaFilterConfig,
} from '@weir/envoy-config';
import { kafkaApiClass } from '@weir/l7-policy';
import {
  everyVersion,
  has,
  readResponse,
  requestFrame,
  responseFrame,
  type SchemaField,
  type SchemaRange,
  type Structure,
  schemaOf,
  type Value,
} from './support/kafka-codec.ts';
import { engineAllows, slotsOf } from './support/rules.ts';
import { sample, topicId } from './support/samples.ts';

const allowAll = kafkaFilterConfig({ revision: '', id: 'c', egress: null, ingress: slotsOf('[{}]') });
const allowSome = kafkaFilterConfig({
  revision: '',
  id: 'c',
  egress: null,
  ingress: slotsOf('[{topic: orders}]'),
});
const allowNone = kafkaFilterConfig({
  revision: '',
  id: 'c',
  egress: null,
  ingress: slotsOf('[{topic: nothing, clientID: nobody}]'),
});

/** A filter that knows the ids of these topics from an answer to Metadata. */
function filterWith(config: Uint8Array, topics: readonly string[]): KafkaFilterInNode {
  const filter = createKafkaFilterInNode();
  assert.ok(filter.configure(allowAll));
  const connection = filter.connect();
  const schema = schemaOf(3, 12);
  connection.request(requestFrame(schema, 12, 1, 'me', { Topics: null }));
  const body = { Topics: topics.map((Name) => ({ Name, TopicId: topicId(Name) })) };
  connection.answer(responseFrame(schema, 12, 1, body));
  connection.close();
  assert.ok(filter.configure(config));
  filter.reports();
  return filter;
}

/** Classes of APIs whose requests name topics. */
const topical = ['topic', 'filtered', 'session'];

/** What no session of before is named by. */
const fixed = { SessionId: 0, SessionEpoch: 0, ShareSessionEpoch: 0, Acks: 1, ForgottenTopicsData: [] };

/** What the broker says to the request that stands in the place of a refused one. */
function answerOfBroker(
  connection: KafkaConnectionInNode,
  forwarded: Buffer,
  correlation: number,
): Buffer | null {
  assert.equal(forwarded.toString('hex'), `0000000a00120000${correlation.toString(16).padStart(8, '0')}ffff`);
  const answer = responseFrame(schemaOf(18, 0), 0, correlation, { ApiKeys: [{ ApiKey: 0, MaxVersion: 3 }] });
  const out = connection.answer(answer);
  return out === null ? null : Buffer.from(out);
}

/** Error codes of a message, wherever they stand. */
function errorsOf(fields: readonly SchemaField[], version: number, value: Value): readonly number[] {
  if (Array.isArray(value)) return value.flatMap((item: Value) => errorsOf(fields, version, item));
  if (value === null || typeof value !== 'object' || Buffer.isBuffer(value)) return [];
  return fields
    .filter(({ versions }) => has(versions, version))
    .flatMap((field) => {
      const inner = (value as Structure)[field.name] ?? null;
      if (/^(Partition)?ErrorCode$/.test(field.name)) return [Number(inner)];
      return field.fields === undefined ? [] : errorsOf(field.fields, version, inner);
    });
}

/** Whether a request names topics. */
function names({ request }: SchemaRange, version: number): boolean {
  return JSON.stringify(sample(request, version, ['orders']), (_, value) =>
    typeof value === 'bigint' ? 0 : value,
  ).includes('"orders"');
}

function errorOf({ apiKey }: SchemaRange): number {
  const apiClass = kafkaApiClass(apiKey);
  if (apiKey === 36) return 58;
  if ([22, 25, 26, 65].includes(apiKey)) return 53;
  if (topical.includes(apiClass)) return 29;
  return apiClass === 'group' ? 30 : 31;
}

describe('every API and version', () => {
  for (const { schema, version } of everyVersion()) {
    const { apiKey, name } = schema;
    describe(`${name} ${version}`, () => {
      let whole: KafkaFilterInNode;
      before(() => {
        whole = filterWith(allowAll, ['orders', 'secret']);
      });

      test('passes as it came where rules allow it', () => {
        const request = requestFrame(
          schema,
          version,
          7,
          'me',
          sample(schema.request, version, ['orders', 'secret'], fixed),
        );
        const connection = whole.connect();
        assert.deepEqual(Buffer.from(connection.request(request) ?? []), request);
        const [report] = whole.reports();
        assert.deepEqual(
          [report?.apiKey, report?.apiVersion, report?.verdict, report?.clientId],
          [apiKey, version, 'allowed', apiKey === 7 && version === 0 ? '' : 'me'],
        );
      });

      test('passes when it comes byte by byte', () => {
        const request = requestFrame(
          schema,
          version,
          7,
          'me',
          sample(schema.request, version, ['orders'], fixed),
        );
        const connection = whole.connect();
        const out = Array.from(request, (byte) => connection.request(Buffer.from([byte])) ?? []);
        assert.deepEqual(Buffer.concat(out.map((part) => Buffer.from(part))), request);
      });

      test('is refused with an error that its schema accepts', () => {
        const filter = filterWith(allowNone, ['orders', 'secret']);
        const request = requestFrame(
          schema,
          version,
          9,
          'me',
          sample(schema.request, version, ['orders', 'secret'], fixed),
        );
        const connection = filter.connect();
        const forwarded = connection.request(request);
        assert.ok(forwarded !== null);
        const answer = answerOfBroker(connection, Buffer.from(forwarded), 9);
        assert.ok(answer !== null);
        const { correlation, body } = readResponse(schema, version, answer);
        assert.equal(correlation, 9);
        const errors = errorsOf(schema.response.fields, version, body).filter((error) => error !== 0);
        // Two topics are named, so topics have two errors; nothing else stands beside the right one.
        const wanted = kafkaApiClass(apiKey) === 'group' && names(schema, version) ? 29 : errorOf(schema);
        assert.deepEqual([...new Set(errors)], [wanted], JSON.stringify(errors));
        assert.equal(filter.reports().at(-1)?.verdict, 'denied');
        assert.equal(filter.heldBytes, 0);
      });

      if (!topical.includes(kafkaApiClass(apiKey))) return;
      test('is refused, or goes without the topic, when one of two is not allowed', () => {
        const filter = filterWith(allowSome, ['orders', 'secret']);
        const request = requestFrame(
          schema,
          version,
          9,
          'me',
          sample(schema.request, version, ['orders', 'secret'], fixed),
        );
        const connection = filter.connect();
        const forwarded = Buffer.from(connection.request(request) ?? []);
        assert.ok(!forwarded.includes('secret'), 'the broker hears of the other topic');
        assert.ok(forwarded.length > 0);
        const report = filter.reports().at(-1);
        assert.ok(report?.verdict === 'denied' || report?.verdict === 'partial', report?.verdict);
        assert.ok(report.topics.some((topic) => topic.name === 'secret' && topic.refused));
        const allowed = requestFrame(
          schema,
          version,
          10,
          'me',
          sample(schema.request, version, ['orders'], fixed),
        );
        assert.deepEqual(
          Buffer.from(filter.connect().request(allowed) ?? []),
          allowed,
          'the allowed topic alone passes',
        );
      });
    });
  }
});

describe('a request that names no topic is judged alike by filter and engine', () => {
  const last = new Map(everyVersion().map((each) => [each.schema.apiKey, each]));
  for (const { schema, version } of last.values()) {
    const { apiKey, name } = schema;
    for (const rules of ['[{topic: orders}]', '[{clientID: me}]', '[{topic: orders, clientID: other}]']) {
      test(`${name} under ${rules}`, () => {
        const filter = createKafkaFilterInNode();
        filter.configure(kafkaFilterConfig({ revision: '', id: 'c', egress: null, ingress: slotsOf(rules) }));
        const body = sample(schema.request, version, [], fixed);
        filter.connect().request(requestFrame(schema, version, 7, 'me', body));
        const request = { kind: 'kafka', apiKey, apiVersion: version, clientId: 'me', topics: [] } as const;
        assert.equal(filter.reports()[0]?.verdict === 'allowed', engineAllows(rules, request));
      });
    }
  }
});
