// A real Envoy that takes its configuration from a server under test, everything on unix sockets.
import assert from 'node:assert/strict';
import { type ChildProcess, spawn } from 'node:child_process';
import { openSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { request } from 'node:http';
import { join, resolve } from 'node:path';
import type { TestContext } from 'node:test';
import { endingWithUs } from '@weir/agent';
import type { Variant } from '@weir/xds-server';
import { temporaryFolder } from '../run-name.ts';

const ttlFeatures = ['xds.config.supports-resource-ttl', 'xds.config.supports-resource-in-sotw'];
const binary = resolve(import.meta.dirname, '../../build/envoy/envoy/_bin/envoy');

export interface EnvoyUnderTest {
  readonly directory: string;
  readonly get: (socket: string, path: string) => Promise<Answer>;
  readonly admin: (path: string) => Promise<string>;
  readonly log: () => string;
  readonly stop: () => Promise<void>;
}

export interface Answer {
  readonly status: number;
  readonly body: string;
}

export interface EnvoyOptions {
  readonly id: string;
  readonly variant: Variant;
  readonly xdsSocket: string;
  /** A discovery service of its own for each of listeners and clusters, instead of the aggregated one. */
  readonly single?: boolean;
  /** Name of a runtime layer that comes by RTDS. */
  readonly runtime?: string;
}

/** A directory that goes when the test does. */
export function temporaryDirectory(t: TestContext): string {
  const directory = temporaryFolder('xds');
  t.after(() => rmSync(directory, { recursive: true, force: true }));
  return directory;
}

export function startEnvoy(t: TestContext, options: EnvoyOptions): EnvoyUnderTest {
  const directory = temporaryDirectory(t);
  const config = join(directory, 'envoy.json');
  const logFile = join(directory, 'envoy.log');
  writeFileSync(config, JSON.stringify(bootstrap(options, join(directory, 'admin'))));
  const log = openSync(logFile, 'w');
  const args = ['-c', config, '--concurrency', '1', '--disable-hot-restart', '-l', 'info'];
  const [program, ...words] = endingWithUs(binary, ...args);
  const child = spawn(program, words, { stdio: ['ignore', log, log] });
  const stop = (): Promise<void> => ended(child);
  t.after(stop);
  return {
    directory,
    get,
    admin: async (path) => (await get(join(directory, 'admin'), path)).body,
    log: () => readFileSync(logFile, 'utf8'),
    stop,
  };
}

function ended(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return Promise.resolve();
  return new Promise((done) => {
    child.once('exit', () => done());
    child.kill('SIGKILL');
  });
}

/** Where an Envoy finds more resources, as JSON: the aggregated stream, or one of their own. */
export function source(variant: Variant, single: boolean): unknown {
  return single
    ? { api_config_source: grpcSource(variant), resource_api_version: 'V3' }
    : { ads: {}, resource_api_version: 'V3' };
}

function grpcSource(variant: Variant): unknown {
  return {
    api_type: variant === 'delta' ? 'DELTA_GRPC' : 'GRPC',
    transport_api_version: 'V3',
    grpc_services: [{ envoy_grpc: { cluster_name: 'xds' } }],
  };
}

function bootstrap(options: EnvoyOptions, adminSocket: string): unknown {
  const { id, variant, xdsSocket, single = false, runtime } = options;
  const config = source(variant, single);
  const layer = { name: 'rtds', rtds_layer: { name: runtime, rtds_config: config } };
  return {
    // Envoy takes TTLs but says so only when it is told to.
    node: { id, cluster: 'tests', metadata: { role: 'test' }, client_features: ttlFeatures },
    admin: { address: { pipe: { path: adminSocket } } },
    dynamic_resources: {
      ...(single ? {} : { ads_config: grpcSource(variant) }),
      lds_config: config,
      cds_config: config,
    },
    ...(runtime === undefined ? {} : { layered_runtime: { layers: [layer] } }),
    static_resources: {
      clusters: [
        {
          name: 'xds',
          type: 'STATIC',
          typed_extension_protocol_options: {
            'envoy.extensions.upstreams.http.v3.HttpProtocolOptions': {
              '@type': 'type.googleapis.com/envoy.extensions.upstreams.http.v3.HttpProtocolOptions',
              explicit_http_config: { http2_protocol_options: {} },
            },
          },
          load_assignment: {
            cluster_name: 'xds',
            endpoints: [{ lb_endpoints: [{ endpoint: { address: { pipe: { path: xdsSocket } } } }] }],
          },
        },
      ],
    },
  };
}

function get(socketPath: string, path: string): Promise<Answer> {
  return new Promise((done, fail) => {
    const outgoing = request({ socketPath, path, headers: { host: 'test' } }, (incoming) => {
      let body = '';
      incoming.setEncoding('utf8');
      incoming.on('data', (text: string) => {
        body += text;
      });
      incoming.on('end', () => {
        assert.ok(incoming.statusCode);
        done({ status: incoming.statusCode, body });
      });
    });
    outgoing.on('error', fail);
    outgoing.setTimeout(5_000, () => outgoing.destroy(new Error('no answer in 5 s')));
    outgoing.end();
  });
}
