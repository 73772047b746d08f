/** Produce requests that go on while they still come. */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { kafkaFilterConfig } from '@weir/envoy-config';
import { isPlaceholder, learn, over, type Scene, scene } from './support/filter-scene.ts';
import { requestFrame, responseFrame, type Structure, schemaOf } from './support/kafka-codec.ts';
import { randomOf } from './support/mutations.ts';
import { slotsOf } from './support/rules.ts';
import { topicId } from './support/samples.ts';
import { loadWasmFilter } from './support/wasm-filter.ts';

const orders = '[{topic: orders}]';
/** Versions with and without tagged fields, and with ids of topics. */
const versions = [3, 8, 9, 12, 13];

/** Records of 60 kB, of one or more partitions of each topic. */
function produce(
  version: number,
  topics: readonly string[],
  size = 60_000,
  correlation = 7,
  partitions = 1,
): Buffer {
  const body: Structure = {
    TransactionalId: null,
    Acks: 1,
    TopicData: topics.map((topic) => ({
      Name: topic,
      TopicId: topicId(topic),
      PartitionData: Array.from({ length: partitions }, (_, Index) => ({
        Index,
        Records: Buffer.alloc(size, correlation),
      })),
    })),
  };
  return requestFrame(schemaOf(0, version), version, correlation, 'me', body);
}

function opened(rules = orders): Scene {
  const one = scene('[{}]');
  learn(one.filter, ['orders', 'secret']);
  one.rules(rules);
  one.filter.reports();
  return one;
}

/** What goes on when bytes come in pieces; null: the connection was closed. */
function sent(
  { connection }: { readonly connection: Pick<Scene['connection'], 'request'> },
  bytes: Buffer,
  piece: () => number,
): Buffer | null {
  const out: Buffer[] = [];
  for (let at = 0; at < bytes.length; ) {
    const size = piece();
    const went = connection.request(bytes.subarray(at, at + size));
    if (went === null) return null;
    out.push(Buffer.from(went));
    at += size;
  }
  return Buffer.concat(out);
}

for (const version of versions) {
  describe(`version ${version}`, () => {
    for (const piece of [1, 7, 150, 1_000, 16_384, 59_990]) {
      test(`arrives as it was sent, in pieces of ${piece}`, () => {
        const one = opened();
        const bytes = Buffer.concat([
          produce(version, ['orders'], 60_000, 1),
          produce(version, ['orders'], 20_000, 2),
          produce(version, ['orders'], 30_000, 3, 5),
        ]);
        assert.equal(sent(one, bytes, () => piece)?.equals(bytes), true);
        const reports = one.filter.reports();
        assert.deepEqual(
          reports.map(({ verdict, correlationId, topics }) => [verdict, correlationId, topics[0]?.name]),
          [
            ['allowed', 1, 'orders'],
            ['allowed', 2, 'orders'],
            ['allowed', 3, 'orders'],
          ],
        );
      });
    }

    test('goes on from its first piece, and is not held', () => {
      const one = opened();
      const bytes = produce(version, ['orders']);
      assert.equal(one.connection.request(bytes.subarray(0, 1_000))?.length, 1_000);
      assert.equal(one.connection.request(bytes.subarray(1_000, 50_000))?.length, 49_000);
      assert.ok(one.filter.heldBytes < 1_000, `${one.filter.heldBytes}`);
      assert.deepEqual(one.filter.reports(), []);
    });

    test('of many partitions is not held either', () => {
      const one = opened();
      const bytes = produce(version, ['orders'], 60_000, 7, 30);
      let most = 0;
      const out = sent(one, bytes, () => {
        most = Math.max(most, one.filter.heldBytes);
        return 10_000;
      });
      assert.equal(out?.equals(bytes), true);
      assert.ok(most < 25_000, `${most}`);
    });

    test('of a refused topic waits until it is whole, and is refused', () => {
      for (const topics of [['secret'], ['orders', 'secret'], ['secret', 'orders']]) {
        const one = opened();
        const out = sent(one, produce(version, topics), () => 1_000);
        assert.ok(isPlaceholder(out), `${out?.length}`);
      }
    });

    test('is never whole for the broker when its topic is taken away before its end', () => {
      const one = opened();
      const bytes = produce(version, ['orders']);
      const before = sent(one, bytes.subarray(0, -1), () => 1_000);
      assert.ok(before !== null && before.length < bytes.length);
      one.rules('[{topic: bills}]');
      assert.equal(one.connection.request(bytes.subarray(-1)), null);
      assert.equal(one.filter.reports().at(-1)?.reason, 'revoked');
      assert.equal(one.filter.heldBytes, 0);
    });

    test('goes on when the rules that change still allow it', () => {
      const one = opened();
      const bytes = produce(version, ['orders']);
      const before = sent(one, bytes.subarray(0, -1), () => 1_000) ?? Buffer.alloc(0);
      one.rules('[{topic: orders}, {topic: bills}]');
      const rest = Buffer.from(one.connection.request(bytes.subarray(-1)) ?? []);
      assert.equal(Buffer.concat([before, rest]).equals(bytes), true);
    });

    test('is never whole for the broker when it ends otherwise than it must', () => {
      if (version < 9) return;
      for (const behind of ['000001', '010000', '000100', '800000', 'ffffff']) {
        const one = opened();
        const bytes = produce(version, ['orders']);
        bytes.write(behind, bytes.length - 3, 'hex');
        const before = sent(one, bytes.subarray(0, -1), () => 1_000);
        assert.ok(before !== null && before.length <= bytes.length - 3);
        assert.equal(one.connection.request(bytes.subarray(-1)), null, behind);
        assert.equal(one.filter.reports().at(-1)?.reason, 'malformed');
      }
    });
  });
}

test('pieces of any size make no difference to what goes on, in Node and in the built filter', () => {
  const random = randomOf(8);
  const built = loadWasmFilter();
  const configure = (rules: string) =>
    built.configure(kafkaFilterConfig({ revision: '', id: 'c', egress: null, ingress: slotsOf(rules) }));
  configure('[{}]');
  const teacher = built.connect();
  const named = ['orders', 'secret'].map((Name) => ({ Name, TopicId: topicId(Name) }));
  teacher.request(requestFrame(schemaOf(3, 12), 12, 1, 'me', { Topics: null }));
  teacher.answer(responseFrame(schemaOf(3, 12), 12, 1, { Topics: named }));
  configure(orders);
  for (let run = 0; run < 200; run++) {
    const frames = Array.from({ length: 1 + random(6) }, (_, index) => {
      const version = versions[random(versions.length)] ?? 9;
      const topics = [['orders'], ['orders'], ['secret'], ['orders', 'secret']][random(4)] ?? [];
      return produce(version, topics, [10, 16_300, 16_384, 70_000][random(4)], index, 1 + random(3));
    });
    const bytes = Buffer.concat(frames);
    const one = opened();
    const whole = sent(one, bytes, () => bytes.length);
    const largest = [40, 2_000, 16_384, 65_536][random(4)] ?? 1;
    const other = over(one.filter, one.filter.connect());
    const connection = built.connect();
    for (const each of [other, { connection }]) {
      const pieces = sent(each, bytes, () => 1 + random(largest));
      assert.equal(whole !== null && pieces?.equals(whole), true, `run ${run}`);
    }
    connection.close();
    const said = one.filter
      .reports()
      .map(({ correlationId, verdict, reason }) => [correlationId, verdict, reason].join());
    assert.deepEqual(said.slice(frames.length), said.slice(0, frames.length));
    for (const each of [one, other]) each.connection.close();
    assert.equal(one.filter.heldBytes, 0);
  }
});
