// The HTTP/2 and gRPC under the server, told frame by frame: what breaks the protocol costs the peer
// its stream or connection, and nobody else anything.
import assert from 'node:assert/strict';
import { join } from 'node:path';
import { suite, type TestContext, test } from 'node:test';
import { create, fromBinary, toBinary } from '@bufbuild/protobuf';
import { Client, credentials, Metadata, status } from '@grpc/grpc-js';
import {
  createXdsServer,
  encodedResource,
  type Limits,
  type Peer,
  typeUrls,
  type XdsServer,
} from '@weir/xds-server';
import {
  DeltaDiscoveryRequestSchema,
  DeltaDiscoveryResponseSchema,
} from '@weir/xds-ts/envoy/service/discovery/v3/discovery';
import { temporaryDirectory } from './envoy-under-test.ts';
import {
  type Frame,
  frame,
  headers,
  message,
  preface,
  type RawClient,
  rawClient,
  readHeaders,
  request,
  types,
  word,
} from './http2-client.ts';
import { manualClock } from './manual-clock.ts';

const typeUrl = typeUrls.cluster;
const path = '/envoy.service.discovery.v3.AggregatedDiscoveryService/DeltaAggregatedResources';
const [endStream, endHeaders, padded, priority] = [1, 4, 8, 0x20];
const node = { id: 'raw' };
const first = message(
  toBinary(DeltaDiscoveryRequestSchema, create(DeltaDiscoveryRequestSchema, { node, typeUrl })),
);
const opened = frame(types.headers, endHeaders, 1, request(path));

interface Served {
  readonly server: XdsServer;
  readonly socket: string;
}

async function serve(t: TestContext, limits: Partial<Limits> = {}): Promise<Served> {
  const socket = join(temporaryDirectory(t), 'xds.sock');
  const server = createXdsServer({ limits });
  await server.listen({ kind: 'unix', path: socket });
  t.after(() => server.close());
  return { server, socket };
}

function settings(...pairs: readonly (readonly [id: number, value: number])[]): Buffer {
  return frame(
    types.settings,
    0,
    0,
    Buffer.concat(pairs.map(([id, value]) => Buffer.concat([Buffer.of(0, id), word(value)]))),
  );
}

/** What ends a connection, with the code that GOAWAY gives. */
const fatal: readonly (readonly [name: string, code: number, frames: readonly Buffer[]])[] = [
  ['an oversize frame', 6, [frame(types.data, 0, 1, Buffer.alloc(16_385))]],
  ['DATA on no stream', 1, [frame(types.data, 0, 0, Buffer.of(1))]],
  ['DATA on a stream that was never opened', 1, [frame(types.data, 0, 5, Buffer.of(1))]],
  ['HEADERS on a stream of the server', 1, [frame(types.headers, endHeaders, 2, request(path))]],
  ['padding larger than its frame', 1, [opened, frame(types.data, padded, 1, Buffer.of(9, 1))]],
  [
    'a header block that is interrupted',
    1,
    [frame(types.headers, 0, 1, request(path)), frame(types.ping, 0, 0, Buffer.alloc(8))],
  ],
  [
    'a flood of CONTINUATION',
    11,
    [frame(types.headers, 0, 1), ...Array.from({ length: 20 }, () => frame(types.more, 0, 1))],
  ],
  [
    'a large header block',
    11,
    [
      frame(types.headers, 0, 1),
      ...Array.from({ length: 3 }, () => frame(types.more, 0, 1, Buffer.alloc(8_000))),
    ],
  ],
  [
    // One entry of 3,900 bytes, named ten times: 39 kB from four.
    'a header bomb',
    9,
    [
      frame(
        types.headers,
        endHeaders,
        1,
        Buffer.concat([
          Buffer.of(0x40, 1, 0x61, 0x7f, 0xbd, 0x1d),
          Buffer.alloc(3_900, 0x62),
          Buffer.alloc(10, 0xbe),
        ]),
      ),
    ],
  ],
  [
    'headers that name an entry which does not exist',
    9,
    [frame(types.headers, endHeaders, 1, Buffer.of(0xff, 0x01))],
  ],
  ['headers that are cut short', 9, [frame(types.headers, endHeaders, 1, Buffer.of(0x00, 0x05, 0x61))]],
  ['headers in bad Huffman', 9, [frame(types.headers, endHeaders, 1, Buffer.of(0x00, 0x81, 0x00, 0x00))]],
  [
    'a header table larger than it may be',
    9,
    [frame(types.headers, endHeaders, 1, Buffer.of(0x3f, 0xff, 0xff, 0x01))],
  ],
  ['PING of a wrong size', 6, [frame(types.ping, 0, 0, Buffer.alloc(7))]],
  ['SETTINGS of a wrong size', 6, [frame(types.settings, 0, 0, Buffer.alloc(5))]],
  ['a window out of range by SETTINGS', 3, [settings([4, 2 ** 31])]],
  ['a window out of range by WINDOW_UPDATE', 3, [frame(types.windowUpdate, 0, 0, word(2 ** 31 - 1))]],
  ['WINDOW_UPDATE of 0', 1, [frame(types.windowUpdate, 0, 0, word(0))]],
  ['PUSH_PROMISE', 1, [frame(5, endHeaders, 1, word(2))]],
  ['RST_STREAM on no stream', 1, [frame(types.reset, 0, 7, word(8))]],
  [
    'a frame after the end of its stream',
    5,
    [opened, frame(types.reset, 0, 1, word(8)), frame(types.data, 0, 1, first)],
  ],
  [
    'a flood of streams that are reset',
    11,
    Array.from({ length: 600 }, (_, index) => 2 * index + 1).flatMap((id) => [
      frame(types.headers, endHeaders, id, request(path)),
      frame(types.reset, 0, id, word(8)),
    ]),
  ],
];

suite('HTTP/2', () => {
  for (const [name, code, frames] of fatal) {
    test(`${name} ends the connection`, async (t) => {
      const { server, socket } = await serve(t);
      const raw = await rawClient(t, socket);
      raw.write(...frames);
      const goAway = await raw.next(({ type }) => type === types.goAway);
      assert.equal(goAway?.payload.readUInt32BE(4), code, goAway?.payload.subarray(8).toString());
      assert.equal(await raw.next(() => false), null);
      await quiet(server);
    });
  }

  test('what is asked for at once is answered in the order of types, not of requests', async (t) => {
    const { server, socket } = await serve(t);
    for (const typeUrl of [typeUrls.listener, typeUrls.cluster])
      server.update({ set: [encodedResource({ typeUrl, name: 'a', value: Buffer.of() })] });
    const raw = await rawClient(t, socket);
    const ask = (typeUrl: string): Buffer =>
      frame(
        types.data,
        0,
        1,
        message(
          toBinary(DeltaDiscoveryRequestSchema, create(DeltaDiscoveryRequestSchema, { node, typeUrl })),
        ),
      );
    raw.write(opened, ask(typeUrls.listener), ask(typeUrls.cluster));
    const answered = [(await responseOf(raw)).typeUrl, (await responseOf(raw)).typeUrl];
    assert.deepEqual(answered, [typeUrls.cluster, typeUrls.listener]);
  });

  test('who does not greet is told so', async (t) => {
    const { socket } = await serve(t);
    const raw = await rawClient(t, socket, false);
    raw.write(Buffer.from('GET / HTTP/1.1\r\n\r\n'));
    const goAway = await raw.next(({ type }) => type === types.goAway);
    assert.equal(goAway?.payload.subarray(8).toString(), 'this is no HTTP/2');
  });

  test('bytes may come one at a time, with padding, priorities, unknown frames and split headers', async (t) => {
    const { socket } = await serve(t);
    const raw = await rawClient(t, socket, false);
    const block = request(path);
    const weighted = Buffer.concat([
      Buffer.of(3),
      word(0),
      Buffer.of(16),
      block.subarray(0, 20),
      Buffer.alloc(3),
    ]);
    const bytes = Buffer.concat([
      preface,
      settings([1, 0], [4, 100_000]),
      frame(0xbb, 0xff, 9, Buffer.of(1, 2, 3)),
      frame(types.headers, padded | priority, 1, weighted),
      frame(types.more, 0, 1, block.subarray(20, 40)),
      frame(types.more, endHeaders, 1, block.subarray(40)),
      frame(types.data, padded, 1, Buffer.concat([Buffer.of(2), first.subarray(0, 7), Buffer.alloc(2)])),
      frame(types.data, 0, 1, first.subarray(7)),
    ]);
    for (const byte of bytes) raw.write(Buffer.of(byte));
    assert.equal((await responseOf(raw)).typeUrl, typeUrl);
  });

  test('windows hold: a large answer comes in the pieces that the peer lets through', async (t) => {
    const { server, socket } = await serve(t);
    server.update({ set: [encodedResource({ typeUrl, name: 'a', value: Buffer.alloc(100_000, 'a') })] });
    const raw = await rawClient(t, socket, false);
    raw.write(preface, settings([4, 1_000]), opened, frame(types.data, 0, 1, first));
    let bytes = Buffer.alloc(0);
    let sizes = 0;
    while (bytes.length < 100_000) {
      const part = await raw.next(({ type }) => type === types.data);
      assert.ok(part !== null && part.payload.length <= 21_000);
      bytes = Buffer.concat([bytes, part.payload]);
      sizes += 1;
      raw.write(
        sizes === 1 ? settings([4, 41_000]) : frame(types.windowUpdate, 0, 1, word(part.payload.length)),
        frame(types.windowUpdate, 0, 0, word(part.payload.length)),
      );
    }
    const response = fromBinary(DeltaDiscoveryResponseSchema, bytes.subarray(5));
    assert.deepEqual(Buffer.from(response.resources[0]?.resource?.value ?? []), Buffer.alloc(100_000, 'a'));
    assert.ok(sizes > 5);
  });

  test('who does not read is not read from', async (t) => {
    const { server, socket } = await serve(t);
    const raw = await rawClient(t, socket, false);
    raw.write(preface, settings([4, 0]), opened, frame(types.data, 0, 1, first));
    assert.ok(await raw.next(({ type }) => type === types.headers));
    const more = Buffer.concat(Array.from({ length: 1_000 }, () => message(Buffer.alloc(0))));
    const isPong = ({ type, flags }: Frame): boolean => type === types.ping && (flags & 1) !== 0;
    raw.write(frame(types.data, 0, 1, more), frame(types.ping, 0, 0, Buffer.alloc(8)));
    assert.ok(await raw.next(isPong));
    assert.equal(server.metrics().requests, 1);
    raw.write(frame(types.windowUpdate, 0, 1, word(1_000)), frame(types.ping, 0, 0, Buffer.alloc(8)));
    assert.ok(await raw.next(isPong));
    assert.ok(server.metrics().requests > 1);
  });

  test('connections that begin with the same header block have tables of their own', async (t) => {
    const { socket } = await serve(t);
    const text = (value: string): Buffer => Buffer.concat([Buffer.of(value.length), Buffer.from(value)]);
    const entry = (name: string, value: string): Buffer =>
      Buffer.concat([Buffer.of(0x40), text(name), text(value)]);
    const alike = Buffer.concat([
      entry('content-type', 'application/grpc'),
      entry(':path', path),
      entry(':scheme', 'http'),
      entry(':method', 'POST'),
    ]);
    // Pseudo headers stand first; so the first request is malformed, and only the table counts.
    const raws = [await rawClient(t, socket), await rawClient(t, socket), await rawClient(t, socket)];
    for (const [index, raw] of raws.entries()) {
      const added = index === 1 ? Buffer.concat([entry('x', 'y'), Buffer.of(0xbf, 0xc0, 0xc1, 0xc2)]) : null;
      raw.write(
        frame(types.headers, endHeaders, 1, alike),
        ...(added === null ? [] : [frame(types.headers, endHeaders, 3, added)]),
        frame(
          types.headers,
          endHeaders,
          5,
          added === null ? Buffer.of(0xbe, 0xbf, 0xc0, 0xc1) : Buffer.of(0xbf, 0xc0, 0xc1, 0xc2),
        ),
        frame(types.data, 0, 5, first),
      );
      const answer = await raw.next(({ type, stream }) => type === types.headers && stream === 5);
      assert.equal(readHeaders(answer?.payload ?? Buffer.alloc(0))[':status'], '200');
    }
  });

  test('peers that are dead, or ask for nothing, are let go', async (t) => {
    const socket = join(temporaryDirectory(t), 'xds.sock');
    const clock = manualClock();
    const server = createXdsServer({ clock, limits: { keepaliveMs: 1_000 } });
    await server.listen({ kind: 'unix', path: socket });
    t.after(() => server.close());
    const [idle, dead] = [await rawClient(t, socket), await rawClient(t, socket)];
    dead.write(opened, frame(types.data, 0, 1, first));
    for (const raw of [idle, dead])
      assert.ok(await raw.next(({ type, flags }) => type === types.settings && flags === 1));
    clock.pass(1_000);
    clock.pass(1_000);
    const goAway = await idle.next(({ type }) => type === types.goAway);
    assert.equal(goAway?.payload.readUInt32BE(4), 0);
    const ping = await dead.next(({ type, flags }) => type === types.ping && flags === 0);
    assert.ok(ping);
    dead.write(frame(types.ping, 1, 0, ping.payload), frame(types.ping, 0, 0, Buffer.alloc(8)));
    assert.ok(await dead.next(({ type, flags }) => type === types.ping && flags === 1));
    clock.pass(1_000);
    assert.equal(server.metrics().streamsOpen, 1);
    clock.pass(1_000);
    clock.pass(1_000);
    assert.equal(await dead.next(() => false), null);
    await quiet(server);
  });
});

const endings: readonly (readonly [
  name: string,
  expected: Readonly<Record<string, string>>,
  frames: readonly Buffer[],
])[] = [
  [
    'a method that is not served',
    { 'grpc-status': '12' },
    [frame(types.headers, endHeaders, 1, request('/a.B/C'))],
  ],
  [
    'a request that is not gRPC',
    { ':status': '415' },
    [frame(types.headers, endHeaders, 1, request(path, { 'content-type': 'text/plain' }))],
  ],
  [
    'a GET',
    { ':status': '405' },
    [
      frame(
        types.headers,
        endHeaders | endStream,
        1,
        headers({ ':method': 'GET', ':scheme': 'http', ':path': '/' }),
      ),
    ],
  ],
  [
    'a compressed message',
    { 'grpc-status': '12', 'grpc-accept-encoding': 'identity' },
    [opened, frame(types.data, 0, 1, message(first, true))],
  ],
  [
    'a message past the limit',
    { 'grpc-status': '8' },
    [opened, frame(types.data, 0, 1, Buffer.concat([Buffer.of(0), word(2 ** 31)]))],
  ],
  [
    'a message that is cut short',
    { 'grpc-status': '13' },
    [opened, frame(types.data, endStream, 1, first.subarray(0, 9))],
  ],
  [
    'a malformed deadline',
    { 'grpc-status': '13' },
    [frame(types.headers, endHeaders, 1, request(path, { 'grpc-timeout': 'soon' }))],
  ],
  [
    'a deadline that passes',
    { 'grpc-status': '4' },
    [frame(types.headers, endHeaders, 1, request(path, { 'grpc-timeout': '20m' }))],
  ],
  [
    'a name with odd letters',
    { 'grpc-status': '12', 'grpc-message': '/%C3%AF%25 is not served here' },
    [frame(types.headers, endHeaders, 1, request('/\u00ef%'))],
  ],
];

suite('gRPC', () => {
  for (const [name, expected, frames] of endings) {
    test(`${name} ends its stream with a status`, async (t) => {
      const { server, socket } = await serve(t);
      const raw = await rawClient(t, socket);
      raw.write(...frames);
      const end = await raw.next(({ type, flags }) => type === types.headers && (flags & endStream) !== 0);
      assert.ok(end);
      const got = readHeaders(end.payload);
      assert.deepEqual({ ...got, ...expected }, got);
      await quiet(server);
      // The connection lives on.
      raw.write(frame(types.headers, endHeaders, 3, request(path)), frame(types.data, 0, 3, first));
      assert.ok(await raw.next(({ type, stream }) => type === types.data && stream === 3));
    });
  }

  test('a client that has said everything gets OK', async (t) => {
    const { server, socket } = await serve(t);
    const raw = await rawClient(t, socket);
    raw.write(opened, frame(types.data, endStream, 1, first));
    const end = await raw.next(({ type, flags }) => type === types.headers && (flags & endStream) !== 0);
    assert.equal(readHeaders(end?.payload ?? Buffer.alloc(0))['grpc-status'], '0');
    await quiet(server);
  });

  test('the authorization hook sees what the call says of itself', async (t) => {
    const socket = join(temporaryDirectory(t), 'xds.sock');
    const peers: Peer[] = [];
    const server = createXdsServer({
      authorize: (_, peer) => {
        peers.push(peer);
        return peer.metadata.get('authorization') === 'Bearer good'
          ? { kind: 'allowed' }
          : { kind: 'denied', reason: 'a token is needed: “good”' };
      },
    });
    await server.listen({ kind: 'unix', path: socket });
    t.after(() => server.close());
    const client = new Client(`unix:${socket}`, credentials.createInsecure());
    t.after(() => client.close());
    const same = (bytes: Buffer): Buffer => bytes;
    const metadata = new Metadata();
    metadata.set('authorization', 'Bearer good');
    const good = client.makeBidiStreamRequest(path, same, same, metadata);
    good.on('error', () => undefined);
    const answered = new Promise<void>((done) => good.once('data', () => done()));
    good.write(first.subarray(5));
    await answered;
    assert.equal(peers[0]?.address, 'unix');
    const bad = client.makeBidiStreamRequest(path, same, same);
    const error = new Promise<Error & { code: number; details: string }>((done) => bad.on('error', done));
    bad.write(first.subarray(5));
    const { code, details } = await error;
    assert.deepEqual([code, details], [status.PERMISSION_DENIED, 'a token is needed: “good”']);
    good.cancel();
  });

  test('a request of many frames arrives whole', async (t) => {
    const { server, socket } = await serve(t);
    server.update({ set: [encodedResource({ typeUrl, name: 'name-0', value: Buffer.from('a') })] });
    const client = new Client(`unix:${socket}`, credentials.createInsecure());
    t.after(() => client.close());
    const same = (bytes: Buffer): Buffer => bytes;
    const call = client.makeBidiStreamRequest(path, same, same);
    call.on('error', () => undefined);
    const names = Array.from({ length: 60_000 }, (_, index) => `name-${index}`.padEnd(40, 'x'));
    const fields = { node, typeUrl, resourceNamesSubscribe: ['name-0', ...names] };
    const answer = new Promise<Buffer>((done) => call.once('data', done));
    call.write(
      Buffer.from(toBinary(DeltaDiscoveryRequestSchema, create(DeltaDiscoveryRequestSchema, fields))),
    );
    assert.equal(fromBinary(DeltaDiscoveryResponseSchema, await answer).resources[0]?.name, 'name-0');
    call.cancel();
  });
});

/** Every stream of the server is gone; waits for the end of the last. */
async function quiet(server: XdsServer): Promise<void> {
  if (server.metrics().streamsOpen === 0) return;
  await new Promise<void>((done) => {
    server.subscribe(({ kind }) => kind === 'stream-closed' && server.metrics().streamsOpen === 0 && done());
  });
}

async function responseOf(raw: RawClient): Promise<{ readonly typeUrl: string }> {
  const data = await raw.next(({ type }) => type === types.data);
  assert.ok(data);
  return fromBinary(DeltaDiscoveryResponseSchema, data.payload.subarray(5));
}
