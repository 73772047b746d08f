// Clients that are broken or hostile lose their own stream; a good one beside them notices nothing.
import assert from 'node:assert/strict';
import { connect, type Socket } from 'node:net';
import { join } from 'node:path';
import { suite, test } from 'node:test';
import { create, toBinary } from '@bufbuild/protobuf';
import { Client, credentials, status } from '@grpc/grpc-js';
import {
  createXdsServer,
  encodedResource,
  type Limits,
  statusCode,
  typeUrls,
  type XdsServer,
} from '@weir/xds-server';
import { DeltaDiscoveryRequestSchema } from '@weir/xds-ts/envoy/service/discovery/v3/discovery';
import { temporaryDirectory } from './envoy-under-test.ts';
import { type ManualClock, manualClock } from './manual-clock.ts';
import { type SimulatedClient, simulatedClient } from './simulated-client.ts';

const typeUrl = typeUrls.cluster;
const limits: Partial<Limits> = {
  streams: 50,
  streamsPerClient: 4,
  typesPerStream: 3,
  namesPerStream: 100,
  nameBytes: 64,
  requestBytes: 10_000,
  responseBytes: 10_000,
  firstRequestMs: 1_000,
};

interface Attack {
  readonly name: string;
  readonly code: number;
  readonly attack: (client: SimulatedClient, clock: ManualClock) => void;
}

const deltaRequest = (fields: object): Uint8Array =>
  toBinary(DeltaDiscoveryRequestSchema, create(DeltaDiscoveryRequestSchema, fields));

const attacks: readonly Attack[] = [
  {
    name: 'garbage',
    code: statusCode.invalidArgument,
    attack: (client) => client.raw(Buffer.from([0xff, 0xff, 0xff])),
  },
  {
    name: 'a message cut short',
    code: statusCode.invalidArgument,
    attack: (client) => client.raw(deltaRequest({ typeUrl }).subarray(0, 10)),
  },
  {
    name: 'a name that is not UTF-8',
    code: statusCode.invalidArgument,
    attack: (client) => client.raw(Buffer.from([0x1a, 0x02, 0xc3, 0x28])),
  },
  {
    name: 'a type that is not UTF-8',
    code: statusCode.invalidArgument,
    attack: (client) => client.raw(Buffer.from([0x12, 0x02, 0xc3, 0x28])),
  },
  {
    name: 'a name without end',
    code: statusCode.invalidArgument,
    attack: (client) => client.delta({ typeUrl, resourceNamesSubscribe: ['x'.repeat(65)] }),
  },
  {
    name: 'a flood of names in one request',
    code: statusCode.resourceExhausted,
    attack: (client) =>
      client.delta({ typeUrl, resourceNamesSubscribe: Array.from({ length: 101 }, (_, i) => `n${i}`) }),
  },
  {
    name: 'a flood of names over many requests and types',
    code: statusCode.resourceExhausted,
    attack: (client) => {
      for (let i = 0; i <= 100; i += 1) {
        client.delta({ typeUrl: i % 2 === 0 ? typeUrl : typeUrls.route, resourceNamesSubscribe: [`n${i}`] });
      }
    },
  },
  {
    name: 'a flood of types',
    code: statusCode.resourceExhausted,
    attack: (client) => {
      for (let i = 0; i <= 3; i += 1) client.delta({ typeUrl: `type.googleapis.com/x.Y${i}` });
    },
  },
  {
    name: 'silence',
    code: statusCode.invalidArgument,
    attack: (_, clock) => clock.pass(1_000),
  },
];

function cluster(name: string, text: string): ReturnType<typeof encodedResource> {
  return encodedResource({ typeUrl, name, value: Buffer.from(`${name}:${text}`) });
}

/** A client that behaves, and has everything. */
function goodClient(server: XdsServer, clock: ManualClock): () => readonly string[] {
  const has = new Map<string, string>();
  const client = simulatedClient(server, {
    variant: 'delta',
    onResponse: ({ resources, nonce }) => {
      for (const { name, value } of resources) has.set(name, value);
      clock.soon(() => client.delta({ typeUrl, responseNonce: nonce }));
    },
  });
  client.delta({ node: { id: 'good' }, typeUrl });
  return () => [...has.values()];
}

suite('hostile clients', () => {
  for (const { name, code, attack } of attacks) {
    test(`${name} ends the stream and nothing else`, () => {
      const clock = manualClock();
      const server = createXdsServer({ clock, limits });
      const has = goodClient(server, clock);
      server.update({ set: [cluster('a', '1')] });
      clock.settle();
      const client = simulatedClient(server, { variant: 'delta' });
      attack(client, clock);
      clock.settle();
      assert.equal(client.ended()?.code, code, client.ended()?.details);
      server.update({ set: [cluster('b', '1')] });
      clock.settle();
      assert.deepEqual(has(), ['a:1', 'b:1']);
      assert.equal(server.metrics().streamsOpen, 1);
    });
  }

  test('a client that never answers gets one response, whatever happens', () => {
    const clock = manualClock();
    const server = createXdsServer({ clock, limits });
    const has = goodClient(server, clock);
    const stuck = simulatedClient(server, { variant: 'delta' });
    stuck.delta({ node: { id: 'stuck' }, typeUrl });
    for (let i = 0; i < 1_000; i += 1) {
      server.update({ set: [cluster('a', `${i}`)] });
      clock.settle();
    }
    assert.equal(stuck.inbox.length, 1);
    assert.deepEqual(has(), ['a:999']);
    stuck.delta({ typeUrl, responseNonce: stuck.inbox[0]!.nonce });
    clock.settle();
    assert.deepEqual(
      stuck.inbox[1]?.resources.map(({ value }) => value),
      ['a:999'],
    );
  });

  test('answers that nobody asked for change nothing', () => {
    const clock = manualClock();
    const server = createXdsServer({ clock, limits });
    server.update({ set: [cluster('a', '1')] });
    const client = simulatedClient(server, { variant: 'delta' });
    client.delta({ node: { id: 'x' }, typeUrl });
    clock.settle();
    for (let i = 0; i < 100; i += 1)
      client.delta({ typeUrl, responseNonce: `${i}x`, errorDetail: { message: 'no' } });
    clock.settle();
    assert.equal(client.inbox.length, 1);
    assert.deepEqual(server.refusals(), []);
    assert.equal(server.metrics().staleNonces, 100);
  });

  test('a resource larger than a response is held back alone, and said', () => {
    const clock = manualClock();
    const server = createXdsServer({ clock, limits });
    const has = goodClient(server, clock);
    server.update({ set: [cluster('a', '1'), cluster('huge', 'x'.repeat(20_000)), cluster('b', '1')] });
    clock.settle();
    assert.deepEqual([...has()].sort(), ['a:1', 'b:1']);
    assert.deepEqual(
      server.refusals().map(({ ref, reason }) => [ref.name, reason.kind]),
      [['huge', 'oversize']],
    );
    server.update({ set: [cluster('huge', 'small now')] });
    clock.settle();
    assert.equal(has().length, 3);
    assert.deepEqual(server.refusals(), []);
  });

  test('large answers are split to fit', () => {
    const clock = manualClock();
    const server = createXdsServer({ clock, limits });
    const sizes: number[] = [];
    server.subscribe((event) => event.kind === 'pushed' && sizes.push(event.bytes));
    const has = goodClient(server, clock);
    server.update({ set: Array.from({ length: 90 }, (_, i) => cluster(`c${i}`, 'x'.repeat(900))) });
    clock.settle();
    assert.equal(has().length, 90);
    assert.ok(
      sizes.every((bytes) => bytes < 11_000),
      `${sizes}`,
    );
  });

  test('one node id gets so many streams and no more', () => {
    const server = createXdsServer({ clock: manualClock(), limits });
    const clients = Array.from({ length: 5 }, () => simulatedClient(server, { variant: 'delta' }));
    for (const client of clients) client.delta({ node: { id: 'greedy' }, typeUrl });
    assert.deepEqual(
      clients.map((client) => client.ended()?.code ?? null),
      [null, null, null, null, statusCode.resourceExhausted],
    );
  });

  test('an authorization hook decides who may have a stream', async () => {
    const server = createXdsServer({
      clock: manualClock(),
      authorize: async ({ id }) =>
        id === 'friend' ? { kind: 'allowed' } : { kind: 'denied', reason: `${id} may not` },
    });
    const [friend, foe] = ['friend', 'foe'].map((id) => {
      const client = simulatedClient(server, { variant: 'delta' });
      client.delta({ node: { id }, typeUrl });
      return client;
    });
    await new Promise((done) => setImmediate(done));
    assert.equal(friend!.ended(), null);
    assert.deepEqual(foe!.ended(), { code: statusCode.permissionDenied, details: 'foe may not' });
  });

  test('over the wire: a request past the limit ends its stream; a peer that speaks no HTTP/2 harms nobody', async (t) => {
    const path = join(temporaryDirectory(t), 'xds.sock');
    const server = createXdsServer({ limits });
    await server.listen({ kind: 'unix', path });
    t.after(() => server.close());
    const noise: Socket = connect(path);
    noise.on('error', () => undefined);
    noise.write('GET / HTTP/1.1\r\n\r\n');
    const halfOpen = connect(path);
    halfOpen.on('error', () => undefined);
    t.after(() => [noise, halfOpen].forEach((socket) => void socket.destroy()));
    const client = new Client(`unix:${path}`, credentials.createInsecure());
    t.after(() => client.close());
    const same = (bytes: Buffer): Buffer => bytes;
    const open = () =>
      client.makeBidiStreamRequest(
        '/envoy.service.discovery.v3.AggregatedDiscoveryService/DeltaAggregatedResources',
        same,
        same,
      );
    const big = open();
    const code = new Promise<number>((done) =>
      big.on('error', (error: Error & { code: number }) => done(error.code)),
    );
    big.write(Buffer.alloc(10_001));
    assert.equal(await code, status.RESOURCE_EXHAUSTED);
    const good = open();
    const answered = new Promise<void>((done) => good.on('data', () => done()));
    good.write(Buffer.from(deltaRequest({ node: { id: 'good' }, typeUrl })));
    await answered;
    good.cancel();
    good.on('error', () => undefined);
  });

  test('a poisoned resource among 1,000 at 20 clients: 999 arrive, and the report names the one', async () => {
    const server = createXdsServer();
    const has = Array.from({ length: 20 }, (_, number) => refusingClient(server, `client ${number}`));
    server.update({
      set: Array.from({ length: 1_000 }, (_, i) => cluster(`c${i}`, i === 617 ? 'poison' : 'fine')),
    });
    const quarantined = new Promise<void>((done) => {
      let count = 0;
      server.subscribe((event) => {
        if (event.kind === 'quarantined') count += 1;
        if (count === 20) done();
      });
    });
    await quarantined;
    for (const { names, responses } of has) {
      assert.equal(names.size, 999);
      // Halving 1,000 takes 10 rounds; each may send the good half beside the bad one.
      assert.ok(responses() <= 2 * 10 + 2, `${responses()} responses`);
    }
    assert.deepEqual(new Set(server.refusals().map(({ ref }) => ref.name)), new Set(['c617']));
    assert.equal(server.refusals().length, 20);
  });
});

/** Refuses a response with poison in it without a hint, and keeps none of it: the hardest client to serve. */
function refusingClient(
  server: XdsServer,
  id: string,
): { names: ReadonlySet<string>; responses: () => number } {
  const names = new Set<string>();
  let responses = 0;
  const client = simulatedClient(server, {
    variant: 'delta',
    onResponse: ({ resources, nonce }) => {
      const refused = resources.some(({ value }) => value.includes('poison'));
      responses += 1;
      if (!refused) for (const { name } of resources) names.add(name);
      const errorDetail = refused ? { errorDetail: { message: 'something is wrong' } } : {};
      setImmediate(() => client.delta({ typeUrl, responseNonce: nonce, ...errorDetail }));
    },
  });
  client.delta({ node: { id }, typeUrl });
  return { names, responses: () => responses };
}
