// The rarer types at the real Envoy: ECDS, RTDS, SDS, SRDS and VHDS, on the aggregated stream and on their own.
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { suite, type TestContext, test } from 'node:test';
import { connect } from 'node:tls';
import {
  createXdsServer,
  parseResourceFile,
  type Resource,
  type Variant,
  type XdsServer,
} from '@weir/xds-server';
import { envoyTypes } from '@weir/xds-ts';
import {
  type Answer,
  type EnvoyUnderTest,
  source,
  startEnvoy,
  temporaryDirectory,
} from './envoy-under-test.ts';

const deadlineMs = 10_000;
const types = envoyTypes();
const type = (name: string): string => `type.googleapis.com/envoy.${name}`;
const router = {
  name: 'router',
  typed_config: { '@type': type('extensions.filters.http.router.v3.Router') },
};
const pem = (name: string): string => readFileSync(join(import.meta.dirname, 'certificates', name), 'utf8');

interface Scene {
  readonly server: XdsServer;
  readonly envoy: EnvoyUnderTest;
  readonly web: string;
  /** A request to the listener `web`, once it listens: it is accepted before it is warm. */
  readonly get: () => Promise<Answer>;
  /** Sets resources and waits until they are in force. */
  readonly set: (...resources: readonly object[]) => Promise<void>;
}

async function onceItListens<Value>(ask: () => Promise<Value>): Promise<Value> {
  const end = Date.now() + deadlineMs;
  for (;;) {
    try {
      return await ask();
    } catch (error) {
      if (Date.now() > end) throw error;
    }
  }
}

function resourcesOf(values: readonly object[]): readonly Resource[] {
  const parsed = parseResourceFile('test', JSON.stringify({ resources: values }), types);
  assert.equal(parsed.kind, 'good', JSON.stringify(parsed));
  return parsed.resources;
}

async function scene(t: TestContext, variant: Variant, single: boolean, runtime?: string): Promise<Scene> {
  const directory = temporaryDirectory(t);
  const xdsSocket = join(directory, 'xds.sock');
  const server = createXdsServer();
  await server.listen({ kind: 'unix', path: xdsSocket });
  t.after(() => server.close());
  const envoy = startEnvoy(t, {
    id: 'one',
    variant,
    xdsSocket,
    single,
    ...(runtime === undefined ? {} : { runtime }),
  });
  return {
    server,
    envoy,
    web: join(directory, 'web'),
    get: () => onceItListens(() => envoy.get(join(directory, 'web'), '/')),
    set: async (...values) => {
      const result = await server.inForce({
        targets: server.update({ set: resourcesOf(values) }),
        deadlineMs,
      });
      assert.equal(result.kind, 'in-force', JSON.stringify(result));
    },
  };
}

function listener(path: string, manager: object, chain: object = {}): object {
  const http = {
    '@type': type('extensions.filters.network.http_connection_manager.v3.HttpConnectionManager'),
    stat_prefix: 'web',
    http_filters: [router],
    ...manager,
  };
  return {
    '@type': type('config.listener.v3.Listener'),
    name: 'web',
    address: { pipe: { path } },
    filter_chains: [{ filters: [{ name: 'http', typed_config: http }], ...chain }],
  };
}

function routes(name: string, text: string): object {
  return {
    '@type': type('config.route.v3.RouteConfiguration'),
    name,
    virtual_hosts: [virtualHost('all', '*', text)],
  };
}

function virtualHost(name: string, domain: string, text: string): object {
  return {
    name,
    domains: [domain],
    routes: [{ match: { prefix: '/' }, direct_response: { status: 200, body: { inline_string: text } } }],
  };
}

for (const variant of ['delta', 'sotw'] as const) {
  for (const single of [false, true]) {
    suite(`${variant}, ${single ? 'single services' : 'aggregated'}`, () => {
      const from = source(variant, single);

      test('ECDS: a filter of a listener changes, the listener does not', async (t) => {
        const { web, get, set } = await scene(t, variant, single);
        const rbac = type('extensions.filters.http.rbac.v3.RBAC');
        const policy = { permissions: [{ any: true }], principals: [{ any: true }] };
        const filter = (action: string): object => ({
          '@type': type('config.core.v3.TypedExtensionConfig'),
          name: 'gate',
          typed_config: { '@type': rbac, rules: { action, policies: { all: policy } } },
        });
        const discovered = { name: 'gate', config_discovery: { config_source: from, type_urls: [rbac] } };
        const manager = { http_filters: [discovered, router], route_config: routesInline('in') };
        await set(listener(web, manager), filter('DENY'));
        assert.equal((await get()).status, 403);
        await set(filter('ALLOW'));
        assert.equal((await get()).body, 'in');
      });

      test('RTDS: a runtime layer', async (t) => {
        const { envoy, set } = await scene(t, variant, single, 'layer');
        const layer = (value: number): object => ({
          '@type': type('service.runtime.v3.Runtime'),
          name: 'layer',
          layer: { 'weir.test': value },
        });
        await set(layer(7));
        assert.match(await envoy.admin('/runtime'), /"weir.test": \{[^}]*"final_value": "7"/);
        await set(layer(8));
        assert.match(await envoy.admin('/runtime'), /"weir.test": \{[^}]*"final_value": "8"/);
      });

      test('SDS: a certificate that a listener waits for', async (t) => {
        const { web, set } = await scene(t, variant, single);
        const tls = {
          '@type': type('extensions.transport_sockets.tls.v3.DownstreamTlsContext'),
          common_tls_context: { tls_certificate_sds_secret_configs: [{ name: 'own', sds_config: from }] },
        };
        const secret = {
          '@type': type('extensions.transport_sockets.tls.v3.Secret'),
          name: 'own',
          tls_certificate: {
            certificate_chain: { inline_string: pem('server.pem') },
            private_key: { inline_string: pem('server.key') },
          },
        };
        const chain = { transport_socket: { name: 'tls', typed_config: tls } };
        await set(listener(web, { route_config: routesInline('x') }, chain), secret);
        const authorized = await onceItListens(async () => {
          const socket = connect({ path: web, ca: pem('ca.pem'), servername: 'localhost' });
          t.after(() => socket.destroy());
          // One that Envoy cuts while it warms may fail twice.
          socket.on('error', () => undefined);
          await once(socket, 'secureConnect');
          return socket.authorized;
        });
        assert.equal(authorized, true);
      });

      test('SRDS: which routes apply follows from a header', async (t) => {
        const { web, get, set } = await scene(t, variant, single);
        const fragment = { header_value_extractor: { name: 'host', index: 0 } };
        const scoped = {
          name: 'scopes',
          scope_key_builder: { fragments: [fragment] },
          rds_config_source: from,
          scoped_rds: { scoped_rds_config_source: from },
        };
        const scope = (routeName: string): object => ({
          '@type': type('config.route.v3.ScopedRouteConfiguration'),
          name: 'scope',
          route_configuration_name: routeName,
          key: { fragments: [{ string_key: 'test' }] },
        });
        await set(listener(web, { scoped_routes: scoped }), scope('first'), routes('first', 'first'));
        assert.equal((await get()).body, 'first');
        await set(scope('second'), routes('second', 'second'));
        assert.equal((await get()).body, 'second');
      });

      // There is no VHDS in state-of-the-world.
      if (variant === 'sotw') return;
      test('VHDS: virtual hosts come by themselves', async (t) => {
        const { server, web, get, set } = await scene(t, variant, single);
        const empty = {
          '@type': type('config.route.v3.RouteConfiguration'),
          name: 'routes',
          vhds: { config_source: from },
        };
        const rds = { config_source: from, route_config_name: 'routes' };
        const host = {
          '@type': type('config.route.v3.VirtualHost'),
          ...virtualHost('routes/test', 'test', 'here'),
        };
        server.update({ set: resourcesOf([host]) });
        await set(listener(web, { rds }), empty);
        assert.equal((await get()).body, 'here');
      });
    });
  }
}

function routesInline(text: string): object {
  const { '@type': _, ...inline } = { '@type': '', ...routes('inline', text) };
  return inline;
}
