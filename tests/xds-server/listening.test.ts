// Addresses, mutual TLS, the client status service, and an end in good order.
import assert from 'node:assert/strict';
import { existsSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { suite, type TestContext, test } from 'node:test';
import { create, fromBinary, type MessageInitShape, toBinary } from '@bufbuild/protobuf';
import { type ChannelCredentials, Client, type ClientDuplexStream, credentials, status } from '@grpc/grpc-js';
import { createXdsServer, encodedResource, type Peer, typeUrls } from '@weir/xds-server';
import { ClientResourceStatus } from '@weir/xds-ts/envoy/admin/v3/config_dump_shared';
import {
  DeltaDiscoveryRequestSchema,
  DeltaDiscoveryResponseSchema,
} from '@weir/xds-ts/envoy/service/discovery/v3/discovery';
import {
  ClientStatusRequestSchema,
  type ClientStatusResponse,
  ClientStatusResponseSchema,
  ConfigStatus,
} from '@weir/xds-ts/envoy/service/status/v3/csds';
import { temporaryDirectory } from './envoy-under-test.ts';

const typeUrl = typeUrls.cluster;
const pem = (name: string): Buffer => readFileSync(join(import.meta.dirname, 'certificates', name));
const tls = { key: pem('server.key'), certificate: pem('server.pem'), clientCa: pem('ca.pem') };
const same = (bytes: Buffer): Buffer => bytes;

interface Stream {
  readonly call: ClientDuplexStream<Buffer, Buffer>;
  readonly request: (fields: MessageInitShape<typeof DeltaDiscoveryRequestSchema>) => void;
  /** The nonce of the next response, or the status that the stream ended with. */
  readonly next: () => Promise<string | number>;
}

function stream(t: TestContext, target: string, channel: ChannelCredentials): Stream {
  const client = new Client(target, channel);
  t.after(() => client.close());
  const path = '/envoy.service.cluster.v3.ClusterDiscoveryService/DeltaClusters';
  const call = client.makeBidiStreamRequest(path, same, same);
  const seen: (string | number)[] = [];
  let wake: () => void = () => undefined;
  const take = (one: string | number): void => {
    seen.push(one);
    wake();
  };
  call.on('data', (bytes: Buffer) => take(fromBinary(DeltaDiscoveryResponseSchema, bytes).nonce));
  call.on('error', (error: Error & { code: number }) => take(error.code));
  return {
    call,
    request: (fields) => {
      call.write(
        Buffer.from(toBinary(DeltaDiscoveryRequestSchema, create(DeltaDiscoveryRequestSchema, fields))),
      );
    },
    next: async () => {
      if (seen.length === 0) await new Promise<void>((done) => (wake = done));
      return seen.shift() ?? '';
    },
  };
}

function cluster(name: string): ReturnType<typeof encodedResource> {
  return encodedResource({ typeUrl, name, value: Buffer.from(name) });
}

suite('listening', () => {
  test('mutual TLS: a client whose certificate the authority signed gets in, and the hook sees it', async (t) => {
    const peers: Peer[] = [];
    const server = createXdsServer({
      authorize: (_, peer) => {
        peers.push(peer);
        return { kind: 'allowed' };
      },
    });
    t.after(() => server.close());
    const { port } = await server.listen({ kind: 'tcp', host: '127.0.0.1', port: 0, tls });
    const known = stream(
      t,
      `localhost:${port}`,
      credentials.createSsl(pem('ca.pem'), pem('client.key'), pem('client.pem')),
    );
    known.request({ node: { id: 'known' }, typeUrl });
    assert.equal(typeof (await known.next()), 'string');
    assert.ok(peers[0]?.certificate);
    assert.match(peers[0].address, /^127\.0\.0\.1:/);
    for (const channel of [
      credentials.createSsl(pem('ca.pem'), pem('stranger.key'), pem('stranger.pem')),
      credentials.createSsl(pem('ca.pem')),
      credentials.createInsecure(),
    ]) {
      const stranger = stream(t, `localhost:${port}`, channel);
      stranger.request({ node: { id: 'stranger' }, typeUrl });
      assert.equal(await stranger.next(), status.UNAVAILABLE);
    }
    assert.deepEqual(
      server.clients().map(({ id }) => id),
      ['known'],
    );
    known.call.cancel();
  });

  test('a unix socket is private, replaces a stale one, and goes with the server', async (t) => {
    const path = join(temporaryDirectory(t), 'xds.sock');
    writeFileSync(path, 'left by an earlier run');
    const server = createXdsServer();
    await server.listen({ kind: 'unix', path });
    assert.equal(statSync(path).mode & 0o777, 0o600);
    await server.close();
    assert.equal(existsSync(path), false);
  });

  test('an address that is taken is an error that names it', async (t) => {
    const [first, second] = [createXdsServer(), createXdsServer()];
    t.after(() => Promise.all([first.close(), second.close()]));
    const { port } = await first.listen({ kind: 'tcp', host: '127.0.0.1', port: 0 });
    await assert.rejects(
      second.listen({ kind: 'tcp', host: '127.0.0.1', port }),
      new RegExp(`127.0.0.1:${port}`),
    );
  });

  test('client status: who has what, who refused what and why', async (t) => {
    const path = join(temporaryDirectory(t), 'xds.sock');
    const server = createXdsServer();
    t.after(() => server.close());
    await server.listen({ kind: 'unix', path });
    const one = stream(t, `unix:${path}`, credentials.createInsecure());
    const targets = server.update({ set: [cluster('good')] });
    one.request({ node: { id: 'one', cluster: 'tests' }, typeUrl });
    one.request({ typeUrl, responseNonce: String(await one.next()) });
    assert.equal((await server.inForce({ targets, deadlineMs: 5_000 })).kind, 'in-force');
    const bad = server.update({ set: [cluster('bad')] });
    one.request({ typeUrl, responseNonce: String(await one.next()), errorDetail: { message: 'too bad' } });
    assert.equal((await server.inForce({ targets: bad, deadlineMs: 5_000 })).kind, 'refused');

    const { config } = await ask(t, path, {});
    assert.deepEqual(
      config.map(({ node }) => [node?.id, node?.cluster]),
      [['one', 'tests']],
    );
    const [good, refused] = config[0]?.genericXdsConfigs ?? [];
    assert.equal(good?.configStatus, ConfigStatus.SYNCED);
    assert.equal(good?.versionInfo, targets[0]?.version);
    assert.equal(refused?.clientStatus, ClientResourceStatus.NACKED);
    assert.equal(refused?.errorState?.details, 'too bad');
    const other = { matchPattern: { case: 'exact', value: 'two' } } as const;
    assert.deepEqual((await ask(t, path, { nodeMatchers: [{ nodeId: other }] })).config, []);
    await assert.rejects(ask(t, path, { nodeMatchers: [{}] }), { code: status.INVALID_ARGUMENT });
    one.call.cancel();
  });

  test('draining: what was sent may still be answered, nobody new comes in', async (t) => {
    const path = join(temporaryDirectory(t), 'xds.sock');
    const server = createXdsServer();
    await server.listen({ kind: 'unix', path });
    server.update({ set: [cluster('a')] });
    const one = stream(t, `unix:${path}`, credentials.createInsecure());
    one.request({ node: { id: 'one' }, typeUrl });
    const nonce = String(await one.next());
    const accepted = new Promise<void>((done) => {
      server.subscribe((event) => event.kind === 'accepted' && done());
    });
    const closed = server.close({ drainMs: 10_000 });
    const late = stream(t, `unix:${path}`, credentials.createInsecure());
    late.request({ node: { id: 'late' }, typeUrl });
    assert.equal(await late.next(), status.UNAVAILABLE);
    one.request({ typeUrl, responseNonce: nonce });
    await accepted;
    await closed;
    assert.equal(await one.next(), status.UNAVAILABLE);
  });
});

function ask(
  t: TestContext,
  path: string,
  fields: MessageInitShape<typeof ClientStatusRequestSchema>,
): Promise<ClientStatusResponse> {
  const client = new Client(`unix:${path}`, credentials.createInsecure());
  t.after(() => client.close());
  return new Promise((done, fail) => {
    client.makeUnaryRequest(
      '/envoy.service.status.v3.ClientStatusDiscoveryService/FetchClientStatus',
      (request: Uint8Array) => Buffer.from(request),
      (bytes) => fromBinary(ClientStatusResponseSchema, bytes),
      toBinary(ClientStatusRequestSchema, create(ClientStatusRequestSchema, fields)),
      (error, response) => {
        if (error === null && response !== undefined) done(response);
        else fail(error ?? new Error('no answer'));
      },
    );
  });
}
