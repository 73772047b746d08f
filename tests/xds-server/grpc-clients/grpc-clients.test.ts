// gRPC's own xDS clients: they name what they want (no wildcard), and take state-of-the-world.
import assert from 'node:assert/strict';
import { spawn, spawnSync } from 'node:child_process';
import { writeFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { createInterface } from 'node:readline';
import { before, suite, type TestContext, test } from 'node:test';
import { create } from '@bufbuild/protobuf';
import { anyPack } from '@bufbuild/protobuf/wkt';
import { Server, ServerCredentials } from '@grpc/grpc-js';
import { createXdsServer, type Resource, resource } from '@weir/xds-server';
import { Cluster_DiscoveryType, ClusterSchema } from '@weir/xds-ts/envoy/config/cluster/v3/cluster';
import { ApiVersion, ConfigSourceSchema } from '@weir/xds-ts/envoy/config/core/v3/config_source';
import { HealthStatus } from '@weir/xds-ts/envoy/config/core/v3/health_check';
import { ClusterLoadAssignmentSchema } from '@weir/xds-ts/envoy/config/endpoint/v3/endpoint';
import { ListenerSchema } from '@weir/xds-ts/envoy/config/listener/v3/listener';
import { RouteConfigurationSchema } from '@weir/xds-ts/envoy/config/route/v3/route';
import { RouterSchema } from '@weir/xds-ts/envoy/extensions/filters/http/router/v3/router';
import { HttpConnectionManagerSchema } from '@weir/xds-ts/envoy/extensions/filters/network/http_connection_manager/v3/http_connection_manager';
import { temporaryDirectory } from '../envoy-under-test.ts';

const deadlineMs = 15_000;
const ads = create(ConfigSourceSchema, {
  configSourceSpecifier: { case: 'ads', value: {} },
  resourceApiVersion: ApiVersion.V3,
});
const goClient = resolve(import.meta.dirname, '../../../build/grpc-client');
const hasGo = spawnSync('go', ['version']).status === 0;
const clients: Readonly<Record<string, readonly string[]>> = {
  'grpc-js-xds': [process.execPath, join(import.meta.dirname, 'client.mjs')],
  'python3-grpcio': ['/usr/bin/python3', join(import.meta.dirname, 'client.py')],
  // Weir itself needs no Go, so a machine may be without.
  ...(hasGo ? { 'grpc-go': [goClient] } : {}),
};

before(() => {
  if (!hasGo) return;
  const build = spawnSync('go', ['build', '-o', goClient, '.'], { cwd: join(import.meta.dirname, 'go') });
  assert.equal(build.status, 0, String(build.stderr));
});

for (const [name, command] of Object.entries(clients)) {
  suite(name, () => {
    test('finds its service, follows its endpoints, and refuses without losing what it has', async (t) => {
      const server = createXdsServer();
      const { port } = await server.listen({ kind: 'tcp', host: '127.0.0.1', port: 0 });
      t.after(() => server.close());
      const [first, second] = [await echo(t, 'first'), await echo(t, 'second')];
      server.update({ set: [listener(), routes('echo'), cluster('echo'), endpoints('echo', first)] });
      const ask = startClient(t, command, port);
      assert.equal(await ask('hello'), 'first hello');

      const moved = server.update({ set: [endpoints('echo', second)] });
      assert.equal((await server.inForce({ targets: moved, deadlineMs })).kind, 'in-force');
      assert.equal(await answerOf(ask, 'second'), 'second again');

      // Clusters of this kind are Envoy's only.
      const bad = server.update({ set: [resource(ClusterSchema, 'echo', badCluster)] });
      const refused = await server.inForce({ targets: bad, deadlineMs });
      assert.equal(refused.kind, 'refused', JSON.stringify(refused));
      assert.equal(await ask('still'), 'second still');
      const mended = server.update({
        set: [routes('other'), cluster('other'), cluster('echo'), endpoints('other', first)],
      });
      const result = await server.inForce({ targets: mended, deadlineMs });
      assert.equal(result.kind, 'in-force', JSON.stringify(result));
      assert.equal(await answerOf(ask, 'first'), 'first again');
    });
  });
}

/** Accepted is not yet in use: the client's balancer follows a moment later. */
async function answerOf(ask: (text: string) => Promise<string>, backend: string): Promise<string> {
  const end = Date.now() + deadlineMs;
  for (;;) {
    const answer = await ask('again');
    if (answer.startsWith(backend) || Date.now() > end) return answer;
  }
}

function startClient(
  t: TestContext,
  command: readonly string[],
  port: number,
): (text: string) => Promise<string> {
  const bootstrap = join(temporaryDirectory(t), 'bootstrap.json');
  writeFileSync(
    bootstrap,
    JSON.stringify({
      // grpc-js wants a locality.
      node: { id: 'grpc', cluster: 'tests', locality: {} },
      xds_servers: [
        {
          server_uri: `127.0.0.1:${port}`,
          channel_creds: [{ type: 'insecure' }],
          server_features: ['xds_v3'],
        },
      ],
    }),
  );
  const [program = '', ...args] = command;
  const env = {
    ...process.env,
    GRPC_XDS_BOOTSTRAP: bootstrap,
    // Between calls the C core looks at its xDS stream only this often; it answers nothing meanwhile.
    GRPC_CLIENT_CHANNEL_BACKUP_POLL_INTERVAL_MS: '50',
  };
  const child = spawn(program, args, { env, stdio: ['pipe', 'pipe', 'inherit'] });
  t.after(() => child.kill('SIGKILL'));
  const lines = createInterface({ input: child.stdout })[Symbol.asyncIterator]();
  return async (text) => {
    child.stdin.write(`${text}\n`);
    const { value } = await lines.next();
    return String(value);
  };
}

/** A gRPC service that answers with its name before what it was told. */
async function echo(t: TestContext, name: string): Promise<number> {
  const server = new Server();
  const same = (bytes: Buffer): Buffer => bytes;
  const say = {
    path: '/echo.Echo/Say',
    requestStream: false,
    responseStream: false,
    requestSerialize: same,
    requestDeserialize: same,
    responseSerialize: same,
    responseDeserialize: same,
  };
  server.addService(
    { say },
    {
      say: (call: { request: Buffer }, answer: (error: null, bytes: Buffer) => void) =>
        answer(null, Buffer.from(`${name} ${call.request.toString()}`)),
    },
  );
  t.after(() => server.forceShutdown());
  return await new Promise((done, fail) => {
    server.bindAsync('127.0.0.1:0', ServerCredentials.createInsecure(), (error, port) =>
      error === null ? done(port) : fail(error),
    );
  });
}

function listener(): Resource {
  const manager = create(HttpConnectionManagerSchema, {
    routeSpecifier: { case: 'rds', value: { routeConfigName: 'routes', configSource: ads } },
    httpFilters: [
      {
        name: 'router',
        configType: { case: 'typedConfig', value: anyPack(RouterSchema, create(RouterSchema)) },
      },
    ],
  });
  const message = create(ListenerSchema, {
    name: 'echo.test',
    apiListener: { apiListener: anyPack(HttpConnectionManagerSchema, manager) },
  });
  return resource(ListenerSchema, 'echo.test', message);
}

function routes(name: string): Resource {
  const message = create(RouteConfigurationSchema, {
    name: 'routes',
    virtualHosts: [
      {
        name: 'all',
        domains: ['*'],
        routes: [
          {
            match: { pathSpecifier: { case: 'prefix', value: '' } },
            action: { case: 'route', value: { clusterSpecifier: { case: 'cluster', value: name } } },
          },
        ],
      },
    ],
  });
  return resource(RouteConfigurationSchema, 'routes', message);
}

const badCluster = create(ClusterSchema, {
  name: 'echo',
  clusterDiscoveryType: { case: 'type', value: Cluster_DiscoveryType.ORIGINAL_DST },
});

function cluster(name: string): Resource {
  const message = create(ClusterSchema, {
    name,
    clusterDiscoveryType: { case: 'type', value: Cluster_DiscoveryType.EDS },
    edsClusterConfig: { edsConfig: ads, serviceName: name },
  });
  return resource(ClusterSchema, name, message);
}

function endpoints(name: string, port: number): Resource {
  const address = { address: '127.0.0.1', portSpecifier: { case: 'portValue', value: port } } as const;
  const message = create(ClusterLoadAssignmentSchema, {
    clusterName: name,
    endpoints: [
      {
        locality: { region: 'here' },
        loadBalancingWeight: 1,
        lbEndpoints: [
          {
            healthStatus: HealthStatus.HEALTHY,
            hostIdentifier: {
              case: 'endpoint',
              value: { address: { address: { case: 'socketAddress', value: address } } },
            },
          },
        ],
      },
    ],
  });
  return resource(ClusterLoadAssignmentSchema, name, message);
}
