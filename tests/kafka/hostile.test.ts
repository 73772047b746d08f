/** What a client or a broker could try. */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { bodyOf, isPlaceholder, over, type Scene, scene } from './support/filter-scene.ts';
import { frame, int, requestFrame, responseFrame, schemaOf, varint } from './support/kafka-codec.ts';

const orders = '[{topic: orders}]';
const produce = (...topics: readonly string[]) => ({
  TransactionalId: null,
  Acks: 1,
  TopicData: topics.map((Name) => ({ Name, PartitionData: [{ Index: 0, Records: Buffer.alloc(10) }] })),
});
/** Header of a flexible request up to its body. */
const head = (apiKey: number, version: number) => [
  int(2, apiKey),
  int(2, version),
  int(4, 1),
  int(2, 0),
  varint(0),
];
const text = (value: string) => [varint(value.length + 1), Buffer.from(value)];

/** What becomes of bytes that a client sends under the rules. */
function outcome(bytes: Uint8Array, rules = orders): string {
  const { connection, filter } = scene(rules);
  const out = connection.request(bytes);
  if (out === null) return `closed: ${filter.reports().at(-1)?.reason}`;
  if (isPlaceholder(Buffer.from(out))) return 'refused';
  return out.length === 0 ? 'nothing' : 'forwarded';
}

describe('requests', () => {
  const parts = [...text('orders'), varint(2), int(4, 0), varint(1), varint(0)];
  const body = (...rest: readonly Buffer[]) =>
    frame([...head(0, 9), varint(0), int(2, 1), int(4, 100), ...rest]);
  const cases: readonly (readonly [what: string, bytes: Buffer, outcome: string])[] = [
    ['the plain request', body(varint(2), ...parts, varint(0), varint(0)), 'forwarded'],
    ['a topic twice', body(varint(3), ...parts, varint(0), ...parts, varint(0), varint(0)), 'forwarded'],
    [
      'another topic behind the allowed one',
      body(
        varint(3),
        ...parts,
        varint(0),
        ...text('secret'),
        varint(2),
        int(4, 0),
        varint(1),
        varint(0),
        varint(0),
        varint(0),
      ),
      'refused',
    ],
    [
      'another topic in an unknown tagged field, which brokers skip',
      body(varint(2), ...parts, varint(1), varint(9), varint(7), ...text('secret'), varint(0)),
      'forwarded',
    ],
    [
      'tagged fields out of order',
      body(varint(2), ...parts, varint(0), varint(2), varint(9), varint(0), varint(3), varint(0)),
      'closed: malformed',
    ],
    [
      'a tagged field twice',
      body(varint(2), ...parts, varint(0), varint(2), varint(9), varint(0), varint(9), varint(0)),
      'closed: malformed',
    ],
    [
      'bytes behind the end',
      body(varint(2), ...parts, varint(0), varint(0), ...text('secret')),
      'closed: malformed',
    ],
    ['fewer bytes than it says', body(varint(2), ...parts), 'closed: malformed'],
    ['a negative number of topics', body(Buffer.from([0xff, 0xff, 0xff, 0xff, 0x0f])), 'closed: malformed'],
    ['a number that never ends', body(Buffer.alloc(12, 0xff)), 'closed: malformed'],
    ['more topics than bytes', body(varint(0x7fffffff)), 'closed: malformed'],
    [
      'a topic with a negative length',
      frame([
        int(2, 0),
        int(2, 3),
        int(4, 1),
        int(2, 0),
        int(2, -1),
        int(2, 1),
        int(4, 1),
        int(4, 1),
        int(2, -5),
      ]),
      'closed: malformed',
    ],
    [
      'a null topic',
      frame([
        int(2, 0),
        int(2, 3),
        int(4, 1),
        int(2, 0),
        int(2, -1),
        int(2, 1),
        int(4, 1),
        int(4, 1),
        int(2, -1),
        int(4, 0),
      ]),
      'closed: malformed',
    ],
    [
      'a topic that begins like the allowed one',
      requestFrame(schemaOf(0, 3), 3, 1, 'me', produce('orders\0')),
      'refused',
    ],
    ['an empty topic', requestFrame(schemaOf(0, 3), 3, 1, 'me', produce('')), 'refused'],
    ['no topic', requestFrame(schemaOf(0, 3), 3, 1, 'me', produce()), 'refused'],
    [
      'a client id that is too long',
      frame([int(2, 3), int(2, 1), int(4, 1), int(2, 500), int(4, -1)]),
      'closed: malformed',
    ],
    ['HTTP', Buffer.from('GET / HTTP/1.1\r\nHost: broker\r\n\r\n'), 'closed: too-large'],
    ['TLS', Buffer.from('160301020001000000', 'hex'), 'closed: too-large'],
    ['a negative size', Buffer.from('ffffffff00000000', 'hex'), 'closed: too-large'],
    ['a size of nothing', Buffer.from('00000000', 'hex'), 'closed: malformed'],
    [
      'an envelope around another request',
      requestFrame(schemaOf(58, 0), 0, 1, 'me', {
        RequestData: requestFrame(schemaOf(0, 3), 3, 1, 'me', produce('secret')),
      }),
      'refused',
    ],
    [
      'SASL as it was before frames',
      Buffer.concat([int(4, 9), Buffer.from('\0bob\0pass')]),
      'closed: unknown-api',
    ],
  ];
  for (const [what, bytes, wanted] of cases)
    test(`${what}: ${wanted}`, () => assert.equal(outcome(bytes), wanted));

  test('a known tagged field with more in it than brokers read: closed', () => {
    // A broker reads the cluster id by its own length and goes on behind it, whatever the tag's size says.
    const hidden = frame([
      ...head(1, 12),
      int(4, -1),
      int(4, 1),
      int(4, 1),
      int(4, 1),
      int(1, 0),
      int(4, 0),
      int(4, -1),
      varint(1),
      varint(1),
      varint(1),
      varint(1),
      varint(0),
      varint(12),
      ...text('c'),
      ...text('secret'),
    ]);
    assert.equal(outcome(hidden), 'closed: malformed');
  });

  test('produce that wants no answer is dropped, and the next request is answered', () => {
    const { send, answer, filter } = scene(orders);
    const out = send(0, 3, { ...produce('secret'), Acks: 0 }, 1);
    assert.equal(out?.length, 0);
    send(0, 3, { ...produce('orders'), Acks: 0 }, 2);
    send(0, 3, produce('orders'), 3);
    assert.ok(answer(0, 3, { Responses: [] }, 3) !== null);
    assert.deepEqual(
      filter.reports().map(({ verdict }) => verdict),
      ['denied', 'allowed', 'allowed'],
    );
  });

  test('many in one piece are answered in order', () => {
    const { connection } = scene(orders);
    const sent = Array.from({ length: 100 }, (_, index) =>
      requestFrame(schemaOf(0, 3), 3, index, 'me', produce(index % 3 === 0 ? 'secret' : 'orders')),
    );
    const out = Buffer.from(connection.request(Buffer.concat(sent)) ?? []);
    assert.ok(!out.includes('secret'));
    const answers = sent.map((_, index) =>
      index % 3 === 0
        ? responseFrame(schemaOf(18, 0), 0, index, { ApiKeys: [] })
        : responseFrame(schemaOf(0, 3), 3, index, { Responses: [] }),
    );
    const back = Buffer.from(connection.answer(Buffer.concat(answers)) ?? []);
    const ids: number[] = [];
    for (let at = 0; at < back.length; at += 4 + back.readInt32BE(at)) ids.push(back.readInt32BE(at + 4));
    assert.deepEqual(
      ids,
      Array.from({ length: 100 }, (_, index) => index),
    );
  });

  test('that end before their header does leave nothing of others in their report', () => {
    const { connection, filter, send } = scene(orders);
    send(0, 3, produce('orders'), 77, 'somebody');
    filter.reports();
    assert.equal(connection.request(frame([int(2, 3), int(2, 1), int(4, 5), int(2, 20), int(4, -1)])), null);
    const [cut] = filter.reports();
    assert.deepEqual([cut?.apiKey, cut?.correlationId, cut?.clientId], [3, 5, '']);
    const other = over(filter, filter.connect());
    other.send(0, 3, produce('orders'), 77, 'somebody');
    assert.equal(other.connection.request(frame([int(2, 3)])), null);
    const { apiKey, correlationId, clientId } = filter.reports()[1]!;
    assert.deepEqual([apiKey, correlationId, clientId], [0, 0, '']);
  });

  test('a client id binds as the whole of it', () => {
    const rules = '[{topic: orders, clientID: reader}]';
    for (const [client, wanted] of [
      ['reader', false],
      ['readers', true],
      ['', true],
    ] as const) {
      const { send } = scene(rules);
      assert.equal(isPlaceholder(send(0, 3, produce('orders'), 1, client)), wanted, client);
    }
  });
});

describe('answers', () => {
  test('that nobody asked for end the connection', () => {
    const { connection, filter } = scene(orders);
    assert.equal(connection.answer(responseFrame(schemaOf(0, 3), 3, 1, { Responses: [] })), null);
    assert.equal(filter.reports()[0]?.reason, 'answer');
  });

  test('with the id of another request end the connection', () => {
    const { send, connection } = scene(orders);
    send(0, 3, produce('orders'), 1);
    assert.equal(connection.answer(responseFrame(schemaOf(0, 3), 3, 2, { Responses: [] })), null);
  });

  test('that end the connection are reported with the request that they should answer', () => {
    const fetch = { SessionId: 0, SessionEpoch: 0, Topics: [{ Topic: 'orders', Partitions: [] }] };
    for (const [first, topics] of [
      [(send: Scene['send']) => send(1, 11, fetch, 5), ['orders']],
      [(send: Scene['send']) => send(0, 3, produce('orders'), 5), []],
    ] as const) {
      const { send, connection, filter } = scene('[{topic: orders}, {topic: bills}]');
      first(send);
      send(0, 3, produce('bills'), 6);
      const [asked] = filter.reports();
      assert.equal(connection.answer(responseFrame(schemaOf(0, 3), 3, 6, { Responses: [] })), null);
      const [closed] = filter.reports();
      assert.deepEqual(
        [closed?.apiKey, closed?.apiVersion, closed?.correlationId, closed?.topics.map(({ name }) => name)],
        [asked?.apiKey, asked?.apiVersion, 5, topics],
      );
    }
  });

  test('to Metadata that are malformed end the connection', () => {
    const { send, connection } = scene(orders);
    send(3, 12, { Topics: null }, 1);
    const answer = responseFrame(schemaOf(3, 12), 12, 1, { Topics: [{ Name: 'secret' }] });
    answer[answer.length - 1] = 9;
    assert.equal(connection.answer(answer), null);
  });

  test('cannot give another name to an id that is known', () => {
    const { send, answer, filter } = scene(orders);
    const id = Buffer.alloc(16, 5);
    send(3, 12, { Topics: null }, 1);
    answer(3, 12, { Topics: [{ Name: 'secret', TopicId: id }] }, 1);
    const fetch = {
      SessionId: 0,
      SessionEpoch: 0,
      Topics: [{ TopicId: id, Partitions: [{ Partition: 0 }] }],
    };
    assert.ok(isPlaceholder(over(filter, filter.connect()).send(1, 13, fetch)));
  });
});

describe('bounds', () => {
  test('a frame above the bound ends the connection before it is held', () => {
    const { connection, filter } = scene(orders, { frameBytes: 1_000 });
    assert.equal(connection.request(Buffer.concat([int(4, 1_001), Buffer.alloc(10)])), null);
    assert.equal(filter.heldBytes, 0);
  });

  test('what all connections hold is bounded, and given back', () => {
    const { connection, filter } = scene(orders, { heldBytes: 10_000 });
    const part = Buffer.concat([int(4, 50_000), Buffer.alloc(6_000)]);
    assert.equal(connection.request(part)?.length, 0);
    assert.ok(filter.heldBytes >= 6_000);
    const second = filter.connect();
    assert.equal(second.request(part), null);
    assert.equal(filter.reports().at(-1)?.reason, 'memory');
    connection.close();
    assert.equal(filter.heldBytes, 0);
  });

  test('requests that are not answered are bounded', () => {
    const { send, filter } = scene(orders, { inFlight: 3 });
    for (const id of [1, 2, 3]) assert.ok(send(0, 3, produce('orders'), id) !== null);
    assert.equal(send(0, 3, produce('orders'), 4), null);
    assert.equal(filter.reports().at(-1)?.reason, 'pipeline');
  });

  test('a client that goes in the middle of a frame leaves nothing behind', () => {
    const { connection, filter } = scene(orders);
    const request = requestFrame(schemaOf(0, 3), 3, 1, 'me', produce('orders'));
    assert.equal(connection.request(request.subarray(0, 20))?.length, 0);
    connection.close();
    assert.equal(filter.heldBytes, 0);
  });

  test('a configuration that is malformed changes nothing', () => {
    const { filter, send } = scene(orders);
    for (const bytes of ['', '574b0001', '574b000100016300017300000100000005'])
      assert.equal(filter.configure(Buffer.from(bytes, 'hex')), false);
    assert.ok(!isPlaceholder(send(0, 3, produce('orders'), 1)));
    assert.ok(isPlaceholder(send(0, 3, produce('secret'), 2)));
  });
});

describe('what is not about topics', () => {
  const cases = [
    ['heartbeat of a group', orders, 12, 0, 'forwarded'],
    ['ACLs', orders, 30, 2, 'refused'],
    ['ACLs by name', '[{topic: orders}, {apiKey: createacls}]', 30, 2, 'forwarded'],
    ['everything', '[{}]', 30, 2, 'forwarded'],
    ['ACLs of a client that may do everything', '[{clientID: me}]', 30, 2, 'forwarded'],
    ['telemetry of a producer', '[{role: produce, topic: orders}]', 71, 0, 'forwarded'],
    ['a producer id', '[{role: produce, topic: orders}]', 22, 4, 'forwarded'],
    ['a group of a producer', '[{role: produce, topic: orders}]', 11, 4, 'refused'],
  ] as const;
  for (const [what, rules, apiKey, version, wanted] of cases) {
    test(`${what}: ${wanted}`, () =>
      assert.equal(outcome(requestFrame(schemaOf(apiKey, version), version, 1, 'me', {}), rules), wanted));
  }

  test('configurations of a broker need more than a topic', () => {
    const { send } = scene(orders);
    const asked = (ResourceType: number, ResourceName: string) => ({
      Resources: [{ ResourceType, ResourceName, ConfigurationKeys: null }],
    });
    assert.ok(!isPlaceholder(send(32, 4, asked(2, 'orders'), 1)));
    assert.ok(isPlaceholder(send(32, 4, asked(2, 'secret'), 2)));
    assert.ok(isPlaceholder(send(32, 4, asked(4, '1'), 3)));
  });

  test('a pattern of topics needs a rule for all of them', () => {
    const body = { GroupId: 'g', SubscribedTopicNames: ['orders'], SubscribedTopicRegex: null };
    assert.ok(!isPlaceholder(scene(orders).send(68, 1, body)));
    assert.ok(isPlaceholder(scene(orders).send(68, 1, { ...body, SubscribedTopicRegex: '.*' })));
    assert.deepEqual(
      bodyOf(scene('[{}]').send(68, 1, { ...body, SubscribedTopicRegex: '.*' }))['SubscribedTopicRegex'],
      '.*',
    );
  });
});
