/** What the filter does to answers, sessions and versions. */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { inspect } from 'node:util';
import { kafkaFilterConfig } from '@weir/envoy-config';
import { bodyOf, isPlaceholder, learn, over, scene } from './support/filter-scene.ts';
import { requestFrame, responseFrame, type Structure, schemaOf } from './support/kafka-codec.ts';
import { slotsOf } from './support/rules.ts';
import { topicId } from './support/samples.ts';

const orders = '[{topic: orders}]';
const list = (body: Structure | null | undefined, field: string) => (body?.[field] ?? []) as Structure[];
const topicsOf = (body: Structure | null, field = 'Topics', name = 'Name') =>
  list(body, field).map((topic) => [topic[name], topic['ErrorCode']]);

describe('Metadata', () => {
  for (const version of [0, 1, 4, 9, 12, 13]) {
    test(`names the refused topics in errors, version ${version}`, () => {
      const { send, answer } = scene(orders);
      const out = send(3, version, { Topics: [{ Name: 'secret' }, { Name: 'orders' }] });
      assert.deepEqual(
        (bodyOf(out)['Topics'] as Structure[]).map(({ Name }) => Name),
        ['orders'],
      );
      const body = answer(3, version, { Brokers: [{ Host: 'b' }], Topics: [{ Name: 'orders' }] });
      assert.deepEqual(topicsOf(body), [
        ['orders', 0],
        ['secret', 29],
      ]);
      assert.equal(list(body, 'Brokers')[0]?.['Host'], 'b');
    });

    test(`gives brokers and errors where every topic is refused, version ${version}`, () => {
      const { send, answer } = scene(orders);
      const out = send(3, version, { Topics: [{ Name: 'secret' }] });
      assert.deepEqual(bodyOf(out)['Topics'], []);
      // In version 0 an empty list asks for all topics.
      const all = version === 0 ? [{ Name: 'orders' }, { Name: 'other' }] : [];
      const body = answer(3, version, { Brokers: [{ Host: 'b' }], Topics: all });
      assert.deepEqual(topicsOf(body), [['secret', 29]]);
    });

    test(`lists what may be seen, version ${version}`, () => {
      const { send, answer } = scene(orders);
      send(3, version, { Topics: version === 0 ? [] : null });
      const body = answer(3, version, { Topics: [{ Name: 'a' }, { Name: 'orders' }, { Name: 'z' }] });
      assert.deepEqual(topicsOf(body), [['orders', 0]]);
    });
  }

  test('an answer that comes byte by byte is filtered too', () => {
    const { send, connection } = scene(orders);
    send(3, 12, { Topics: null });
    const answer = responseFrame(schemaOf(3, 12), 12, 1, { Topics: [{ Name: 'a' }, { Name: 'orders' }] });
    const out = Array.from(answer, (byte) => Buffer.from(connection.answer(Buffer.from([byte])) ?? []));
    assert.ok(!out.slice(0, -1).some((part) => part.length > 0));
    assert.ok(out.at(-1)?.includes('orders'));
  });

  test('asked for by an id that nobody has named, the answer is filtered by its name', () => {
    const { send, answer } = scene(orders);
    const asked = { Topics: [{ TopicId: topicId('secret'), Name: null }] };
    assert.ok(!isPlaceholder(send(3, 12, asked)));
    assert.deepEqual(
      topicsOf(answer(3, 12, { Topics: [{ Name: 'secret', TopicId: topicId('secret') }] })),
      [],
    );
  });
});

describe('other answers that name topics', () => {
  test('OffsetFetch for all topics of a group', () => {
    const { send, answer } = scene(orders);
    send(9, 8, { Groups: [{ GroupId: 'g', Topics: null }] });
    const body = answer(9, 8, {
      Groups: [{ GroupId: 'g', Topics: [{ Name: 'secret' }, { Name: 'orders' }] }],
    });
    assert.deepEqual(topicsOf(list(body, 'Groups')[0]!), [['orders', undefined]]);
  });

  test('members of a group and what they read', () => {
    const { send, answer } = scene(orders);
    send(69, 0, { GroupIds: ['g'] });
    const assigned = (TopicName: string) => ({ TopicName, TopicId: topicId(TopicName), Partitions: [0] });
    const body = answer(69, 0, {
      Groups: [
        {
          GroupId: 'g',
          Members: [
            {
              SubscribedTopicNames: ['secret', 'orders'],
              Assignment: { TopicPartitions: [assigned('secret'), assigned('orders')] },
            },
          ],
        },
      ],
    });
    assert.ok(!inspect(body, { depth: null }).includes('secret'));
    assert.ok(inspect(body, { depth: null }).includes('orders'));
  });

  test('the page after this one in DescribeTopicPartitions', () => {
    const { send, answer } = scene(orders);
    send(75, 0, { Topics: [{ Name: 'orders' }] });
    const body = answer(75, 0, { Topics: [{ Name: 'orders' }], NextCursor: { TopicName: 'secret' } });
    assert.equal(body?.['NextCursor'], null);
  });
});

describe('versions', () => {
  const told = {
    ApiKeys: [
      [0, 0, 99],
      [3, 0, 5],
      [17, 0, 1],
      [500, 0, 1],
      [2, 90, 99],
    ].map(([ApiKey, MinVersion, MaxVersion]) => ({ ApiKey, MinVersion, MaxVersion })),
  } as unknown as Structure;
  const kept = [
    [0, 0, 13],
    [3, 0, 5],
    [17, 1, 1],
  ];
  const listed = (body: Structure | null) =>
    list(body, 'ApiKeys').map((api) => [api['ApiKey'], api['MinVersion'], api['MaxVersion']]);

  for (const version of [0, 1, 2, 3, 4]) {
    test(`are cut to those that are understood, version ${version}`, () => {
      const { send, answer } = scene(orders);
      send(18, version, {});
      assert.deepEqual(listed(answer(18, version, told)), kept);
    });
  }

  test('are cut in an error about the version, which comes in the first form', () => {
    const { send, connection } = scene(orders);
    send(18, 4, {});
    const out = connection.answer(responseFrame(schemaOf(18, 0), 0, 1, { ...told, ErrorCode: 35 }));
    assert.ok(out !== null);
    assert.ok(
      Buffer.from(out).equals(
        responseFrame(schemaOf(18, 0), 0, 1, {
          ErrorCode: 35,
          ApiKeys: kept.map(([ApiKey, MinVersion, MaxVersion]) => ({ ApiKey, MinVersion, MaxVersion })),
        } as unknown as Structure),
      ),
    );
  });

  test('a version of tomorrow is answered as brokers do', () => {
    const { connection, refusal } = scene(orders);
    const request = requestFrame(schemaOf(18, 4), 4, 1, 'me', { ClientSoftwareName: 'x' });
    request.writeInt16BE(9, 6);
    assert.ok(isPlaceholder(Buffer.from(connection.request(request) ?? [])));
    assert.equal(refusal(18, 0)['ErrorCode'], 35);
  });

  test('of other APIs end the connection', () => {
    for (const [apiKey, version] of [
      [0, 14],
      [500, 0],
      [17, 0],
    ] as const) {
      const { connection, filter } = scene('[{}]');
      const request = requestFrame(schemaOf(3, 1), 1, 1, 'me', { Topics: null });
      request.writeInt16BE(apiKey, 4);
      request.writeInt16BE(version, 6);
      assert.equal(connection.request(request), null);
      assert.equal(filter.reports()[0]?.reason, 'unknown-api');
    }
  });
});

describe('ids of topics', () => {
  const fetch = (topic: string) => ({
    SessionId: 0,
    SessionEpoch: 0,
    Topics: [{ TopicId: topicId(topic), Partitions: [{ Partition: 0 }] }],
  });

  test('nobody has named: the error makes clients ask for names', () => {
    const { send, refusal } = scene(orders);
    assert.ok(isPlaceholder(send(1, 13, fetch('orders'))));
    const [topic] = list(refusal(1, 13), 'Responses');
    assert.equal(list(topic, 'Partitions')[0]?.['ErrorCode'], 100);
  });

  test('are learnt, and bind as names do', () => {
    const { send, filter } = scene(orders);
    learn(filter, ['orders', 'secret']);
    assert.ok(!isPlaceholder(send(1, 13, fetch('orders'), 1)));
    assert.ok(isPlaceholder(send(1, 13, fetch('secret'), 2)));
    assert.equal(filter.reports().at(-1)?.topics[0]?.name, 'secret');
  });

  test('are known to other VMs of the class, and to no other class', () => {
    const shared = new Map<string, Uint8Array>();
    learn(scene('[{}]', {}, shared).filter, ['orders']);
    const same = scene(orders, {}, shared);
    assert.ok(!isPlaceholder(same.send(1, 13, fetch('orders'))));
    const other = scene(orders, {}, shared);
    const [slot] = slotsOf(orders);
    other.filter.configure(
      kafkaFilterConfig({
        revision: '',
        id: 'd',
        egress: null,
        ingress: [{ ...slot!, id: 'another' as never }],
      }),
    );
    assert.ok(isPlaceholder(other.send(1, 13, fetch('orders'))));
  });
});

describe('both sides', () => {
  test('have to allow a topic', () => {
    const { filter } = scene(orders);
    filter.configure(
      kafkaFilterConfig({
        revision: '',
        id: 'c',
        egress: slotsOf('[{topic: orders}, {topic: bills}]'),
        ingress: slotsOf('[{topic: bills}, {topic: other}]'),
      }),
    );
    for (const [topic, allowed] of [
      ['orders', false],
      ['bills', true],
      ['other', false],
    ] as const) {
      const { send } = over(filter, filter.connect());
      assert.equal(
        isPlaceholder(send(0, 3, { TransactionalId: null, Acks: 1, TopicData: [{ Name: topic }] })),
        !allowed,
        topic,
      );
    }
    const reports = filter.reports();
    assert.deepEqual(
      reports.map(({ refusedBy }) => refusedBy),
      [['ingress'], [], ['egress']],
    );
    assert.equal(reports[1]?.egressRules.length, 1);
    assert.equal(reports[1]?.ingressRules.length, 1);
  });
});

describe('records', () => {
  const full = {
    SessionId: 0,
    SessionEpoch: 0,
    Topics: [{ Topic: 'orders', Partitions: [{ Partition: 3 }] }],
  };
  const next = (id: number) => ({ SessionId: id, SessionEpoch: 1, Topics: [] });
  const records = {
    SessionId: 77,
    Responses: [{ Topic: 'orders', Partitions: [{ PartitionIndex: 3, Records: Buffer.from('record') }] }],
  };

  test('of a session go on while the rules are those it was opened under', () => {
    const { send, answer, rules, refusal } = scene(orders);
    send(1, 11, full);
    answer(1, 11, records);
    assert.ok(!isPlaceholder(send(1, 11, next(77), 2)));
    answer(1, 11, records, 2);
    rules('[{topic: bills}]');
    assert.ok(isPlaceholder(send(1, 11, next(77), 3)));
    assert.equal(refusal(1, 11, 3)['ErrorCode'], 70);
    assert.ok(isPlaceholder(send(1, 11, full, 4)));
    const [topic] = list(refusal(1, 11, 4), 'Responses');
    assert.equal(list(topic, 'Partitions')[0]?.['ErrorCode'], 29);
  });

  test('of a session that was opened elsewhere are not had', () => {
    const { send, answer, filter } = scene(orders);
    send(1, 11, full);
    answer(1, 11, records);
    const other = over(filter, filter.connect());
    assert.ok(isPlaceholder(other.send(1, 11, next(77))));
    assert.equal(other.refusal(1, 11)['ErrorCode'], 70);
    assert.ok(isPlaceholder(send(1, 11, next(78), 2)));
  });

  test('that a long poll waited for make way for an error when their topic is revoked', () => {
    const { send, answer, rules } = scene(orders);
    send(1, 11, full);
    rules('[{topic: bills}]');
    const body = answer(1, 11, records);
    const [topic] = list(body, 'Responses');
    const [partition] = list(topic, 'Partitions');
    assert.deepEqual(
      [topic?.['Topic'], partition?.['PartitionIndex'], partition?.['ErrorCode']],
      ['orders', 3, 29],
    );
    assert.ok(!inspect(body, { depth: null }).includes('72 65 63'));
  });

  test('that a session waited for make way for an error when any rule changes', () => {
    const { send, answer, rules } = scene(orders);
    send(1, 11, full);
    answer(1, 11, records);
    send(1, 11, next(77), 2);
    rules('[{topic: orders}, {topic: bills}]');
    assert.equal(answer(1, 11, records, 2)?.['ErrorCode'], 70);
  });

  test('come through when the rules that changed still allow them', () => {
    const { send, answer, rules } = scene(orders);
    send(1, 11, full);
    rules('[{topic: orders}, {topic: bills}]');
    assert.ok(inspect(answer(1, 11, records), { depth: null }).includes('Records: <Buffer 72 65'));
    assert.ok(!isPlaceholder(send(1, 11, next(77), 2)), 'the session counts as opened under the new rules');
  });

  test('that are half through when their topic is revoked are cut', () => {
    const { send, connection, rules, filter } = scene(orders);
    send(1, 11, full);
    const frame = responseFrame(schemaOf(1, 11), 11, 1, records);
    assert.ok((connection.answer(frame.subarray(0, 40)) ?? []).length > 0);
    rules('[{topic: bills}]');
    assert.equal(connection.answer(frame.subarray(40)), null);
    assert.equal(filter.reports().at(-1)?.reason, 'revoked');
  });

  test('of allowed topics come beside errors for the refused ones', () => {
    const { send, answer } = scene(orders);
    const both = { ...full, Topics: [...full.Topics, { Topic: 'secret', Partitions: [{ Partition: 5 }] }] };
    const out = bodyOf(send(1, 11, both));
    assert.deepEqual(
      list(out, 'Topics').map(({ Topic }) => Topic),
      ['orders'],
    );
    const topics = list(answer(1, 11, records), 'Responses');
    assert.deepEqual(
      topics.map(({ Topic }) => Topic),
      ['orders', 'secret'],
    );
    const [refused] = list(topics[1], 'Partitions');
    assert.deepEqual([refused?.['PartitionIndex'], refused?.['ErrorCode']], [5, 29]);
    assert.ok(!isPlaceholder(send(1, 11, next(77), 2)));
  });

  test('of share groups come in sessions of the rules in force', () => {
    const { send, answer, refusal, rules, filter } = scene('[{}]');
    learn(filter, ['orders']);
    rules(orders);
    const open = {
      GroupId: 'g',
      MemberId: 'm',
      ShareSessionEpoch: 0,
      Topics: [{ TopicId: topicId('orders'), Partitions: [{ PartitionIndex: 0 }] }],
    };
    const more = { ...open, ShareSessionEpoch: 1, Topics: [] };
    assert.ok(isPlaceholder(send(78, 1, more, 1)));
    assert.equal(refusal(78, 1, 1)['ErrorCode'], 122);
    assert.ok(!isPlaceholder(send(78, 1, open, 2)));
    answer(78, 1, {}, 2);
    assert.ok(!isPlaceholder(send(78, 1, more, 3)));
    rules('[{topic: bills}]');
    assert.equal(answer(78, 1, { Responses: [] }, 3)?.['ErrorCode'], 122);
    assert.equal(send(78, 1, more, 4), null, 'the broker ends the session with the connection');
  });
});
