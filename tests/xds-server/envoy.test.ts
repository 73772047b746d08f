// The real Envoy as client, over a unix socket, in both variants.
import assert from 'node:assert/strict';
import { createServer } from 'node:http';
import { join } from 'node:path';
import { suite, type TestContext, test } from 'node:test';
import { setTimeout } from 'node:timers/promises';
import {
  createXdsServer,
  encodedResource,
  typeUrls,
  type Variant,
  type XdsEvent,
  type XdsServer,
  type XdsServerOptions,
} from '@weir/xds-server';
import { edsCluster, endpoints, listener, ownSource, routes, routesTo } from './envoy-resources.ts';
import { startEnvoy, temporaryDirectory } from './envoy-under-test.ts';

const deadlineMs = 10_000;

interface Served {
  readonly server: XdsServer;
  readonly socket: string;
  readonly directory: string;
  readonly events: XdsEvent[];
}

async function serve(t: TestContext, options: XdsServerOptions = {}): Promise<Served> {
  const directory = temporaryDirectory(t);
  const server = createXdsServer(options);
  const events: XdsEvent[] = [];
  server.subscribe((event) => events.push(event));
  const socket = join(directory, 'xds.sock');
  await server.listen({ kind: 'unix', path: socket });
  t.after(() => server.close());
  return { server, socket, directory, events };
}

for (const variant of ['delta', 'sotw'] as const satisfies readonly Variant[]) {
  suite(`Envoy over ${variant}`, () => {
    test('gets listener and routes, is awaited, and follows an edit', async (t) => {
      const { server, socket, directory } = await serve(t);
      const envoy = startEnvoy(t, { id: 'one', variant, xdsSocket: socket });
      const web = join(directory, 'web');
      const first = server.update({ set: [listener('web', web, 'web'), routes('web', 'first')] });
      assert.deepEqual(await server.inForce({ targets: first, deadlineMs }), {
        kind: 'in-force',
        clients: ['one'],
      });
      assert.deepEqual(await envoy.get(web, '/'), { status: 200, body: 'first' });

      const second = server.update({ set: [routes('web', 'second')] });
      assert.equal((await server.inForce({ targets: second, deadlineMs })).kind, 'in-force');
      assert.equal((await envoy.get(web, '/')).body, 'second');

      const gone = server.update({ remove: [{ typeUrl: typeUrls.listener, name: 'web' }] });
      assert.equal((await server.inForce({ targets: gone, deadlineMs })).kind, 'in-force');
      assert.doesNotMatch(await envoy.admin('/listeners'), /web/);
    });

    test('a refused listener holds up nothing, is named, and is let go when it changes', async (t) => {
      const { server, socket, directory } = await serve(t);
      startEnvoy(t, { id: 'one', variant, xdsSocket: socket });
      const names = ['a', 'b', 'c', 'd', 'e'];
      const all = names.map((name) => listener(name, name === 'c' ? '' : join(directory, name), 'web'));
      const targets = server.update({ set: [...all, routes('web', 'ok')] });
      const good = await server.inForce({ targets: targets.filter(({ name }) => name !== 'c'), deadlineMs });
      assert.deepEqual(good, { kind: 'in-force', clients: ['one'] });
      const bad = await server.inForce({ targets: targets.filter(({ name }) => name === 'c'), deadlineMs });
      assert.equal(bad.kind, 'refused');
      assert.equal(bad.refusals[0]?.ref.name, 'c');
      assert.match(JSON.stringify(bad.refusals[0]?.reason), /c/);
      assert.equal(server.refusals().length, 1);

      const mended = server.update({ set: [listener('c', join(directory, 'c'), 'web')] });
      assert.deepEqual(await server.inForce({ targets: mended, deadlineMs }), {
        kind: 'in-force',
        clients: ['one'],
      });
      assert.deepEqual(server.refusals(), []);
    });

    test('a cluster that warms again gets its endpoints again', async (t) => {
      const { server, socket, directory } = await serve(t);
      const backend = createServer((_, response) => response.end('backend'));
      await new Promise<void>((done) => backend.listen(join(directory, 'backend'), done));
      t.after(() => backend.close());
      const envoy = startEnvoy(t, { id: 'one', variant, xdsSocket: socket });
      const web = join(directory, 'web');
      const first = server.update({
        set: [
          listener('web', web, 'web'),
          routesTo('web', 'backend'),
          edsCluster('backend', 1),
          endpoints('backend', join(directory, 'backend')),
        ],
      });
      assert.equal((await server.inForce({ targets: first, deadlineMs })).kind, 'in-force');
      assert.equal((await envoy.get(web, '/')).body, 'backend');
      const changed = server.update({ set: [edsCluster('backend', 2)] });
      assert.equal((await server.inForce({ targets: changed, deadlineMs })).kind, 'in-force');
      // Active only once it is warm; the deadline lies below Envoy's fetch timeout of 15 s.
      await until(async () =>
        (await envoy.admin('/config_dump?resource=dynamic_active_clusters')).includes(
          '"connect_timeout": "2s"',
        ),
      );
      assert.equal((await envoy.get(web, '/')).body, 'backend');
    });

    test('a new server sends a client nothing that it has, and answers nothing before it is ready', async (t) => {
      const directory = temporaryDirectory(t);
      const socket = join(directory, 'xds.sock');
      const web = join(directory, 'web');
      const set = [listener('web', web, 'web'), routes('web', 'kept')];
      const old = createXdsServer();
      await old.listen({ kind: 'unix', path: socket });
      const envoy = startEnvoy(t, { id: 'one', variant, xdsSocket: socket });
      assert.equal((await old.inForce({ targets: old.update({ set }), deadlineMs })).kind, 'in-force');
      await old.close();

      const server = createXdsServer({ hold: true });
      t.after(() => server.close());
      const events: XdsEvent[] = [];
      server.subscribe((event) => events.push(event));
      const connected = new Promise<void>((done) => {
        server.subscribe((event) => event.kind === 'client-connected' && done());
      });
      await server.listen({ kind: 'unix', path: socket });
      await connected;
      const targets = server.update({ set });
      assert.deepEqual(
        events.filter(({ kind }) => kind === 'pushed'),
        [],
      );
      assert.equal((await envoy.get(web, '/')).body, 'kept');
      server.ready();
      assert.equal((await server.inForce({ targets, deadlineMs })).kind, 'in-force');
      const pushed = events.filter(
        (event) => event.kind === 'pushed' && event.typeUrl === typeUrls.listener && event.resources > 0,
      );
      assert.deepEqual(pushed, []);
      assert.equal((await envoy.get(web, '/')).body, 'kept');
    });

    test('what expires is kept alive, and goes when the server does', async (t) => {
      const { server, socket, directory } = await serve(t);
      const envoy = startEnvoy(t, { id: 'one', variant, xdsSocket: socket });
      const { typeUrl, name, value } = listener('brief', join(directory, 'brief'), 'web');
      const brief = encodedResource({ typeUrl, name, value, ttlMs: 1_000 });
      let renewals = 0;
      const renewed = new Promise<void>((done) => {
        server.subscribe((event) => {
          const heartbeat = event.kind === 'accepted' && event.typeUrl === typeUrl;
          if (heartbeat) renewals += 1;
          if (renewals === 6) done();
        });
      });
      const targets = server.update({ set: [brief, routes('web', 'x')] });
      assert.equal((await server.inForce({ targets, deadlineMs })).kind, 'in-force');
      await within(renewed, 'five renewals');
      assert.match(await envoy.admin('/listeners'), /brief/);
      await server.close();
      await until(async () => !(await envoy.admin('/listeners')).includes('brief'));
    });

    test('single services serve as well', async (t) => {
      const { server, socket, directory } = await serve(t);
      const envoy = startEnvoy(t, { id: 'one', variant, xdsSocket: socket, single: true });
      const web = join(directory, 'web');
      const targets = server.update({
        set: [listener('web', web, 'web', ownSource(variant)), routes('web', 'single')],
      });
      assert.equal((await server.inForce({ targets, deadlineMs })).kind, 'in-force');
      assert.equal((await envoy.get(web, '/')).body, 'single');
      assert.ok(server.metrics().streamsOpen >= 3);
    });

    test('a client that goes is told apart from one that is slow', async (t) => {
      const { server, socket, directory } = await serve(t);
      const envoy = startEnvoy(t, { id: 'one', variant, xdsSocket: socket });
      const first = server.update({
        set: [listener('web', join(directory, 'web'), 'web'), routes('web', 'x')],
      });
      assert.equal((await server.inForce({ targets: first, deadlineMs })).kind, 'in-force');
      const never = server.update({ set: [routes('nobody-asks', 'x')] });
      const slow = await server.inForce({ targets: never, deadlineMs: 50 });
      assert.equal(slow.kind, 'deadline');
      assert.deepEqual(
        slow.outstanding.map(({ state }) => state),
        ['not-subscribed'],
      );
      const lost = server.inForce({ targets: never, deadlineMs });
      await envoy.stop();
      assert.deepEqual(await lost, { kind: 'disconnected', clients: ['one'] });
    });
  });
}

test('what a client gets follows from its version and from what is built into it', async (t) => {
  const skewed: XdsServerOptions['layers'] = ({ userAgent, extensions, extensionTypeUrls }) => [
    `${userAgent.name} ${userAgent.version.split('.')[0]}`,
    extensions.has('envoy.filters.http.router') ? 'has the router' : 'lacks the router',
    extensions.has('envoy.filters.http.of_another_build') ? 'has another' : 'lacks another',
    extensionTypeUrls.has('envoy.extensions.filters.http.router.v3.Router') ? 'takes its type' : '',
  ];
  const { server, socket } = await serve(t, { layers: skewed });
  for (const id of ['one', 'two']) startEnvoy(t, { id, variant: 'delta', xdsSocket: socket });
  const layers = ['envoy 1', 'has the router', 'lacks another', 'takes its type'];
  const targets = server.update(
    ...layers.map((layer, number) => ({ layer, set: [edsCluster(`c${number}`, 1)] })),
  );
  for (const wanted of ['one', 'two']) {
    const result = await server.inForce({ targets, deadlineMs, clients: ({ id }) => id === wanted });
    assert.deepEqual(result, { kind: 'in-force', clients: [wanted] });
  }
  const [one, two] = server.clients().map(({ node }) => node);
  assert.ok(one !== undefined && one.extensions.size > 100);
  assert.equal(one.extensions, two?.extensions, 'clients of one build share what is built in');
});

async function until(condition: () => Promise<boolean>): Promise<void> {
  const end = Date.now() + deadlineMs;
  while (!(await condition())) if (Date.now() > end) throw new Error('not in time');
}

async function within<Value>(promise: Promise<Value>, what: string): Promise<Value> {
  const stop = new AbortController();
  const late = setTimeout(deadlineMs, null, { signal: stop.signal }).then(() => {
    throw new Error(`not in time: ${what}`);
  });
  try {
    return await Promise.race([promise, late]);
  } finally {
    stop.abort();
    late.catch(() => undefined);
  }
}
