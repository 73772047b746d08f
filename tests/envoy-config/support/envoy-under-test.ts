import { renameSync, rmSync, writeFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import {
  create,
  type DescMessage,
  fromBinary,
  fromJsonString,
  toJson,
  toJsonString,
} from '@bufbuild/protobuf';
import { anyPack, anyUnpack } from '@bufbuild/protobuf/wkt';
import {
  askAdmin,
  type ClassInput,
  compileClass,
  compileShared,
  createEnvoyProcess,
  defaultLimits,
  type EnvoyProcess,
  type EnvoyResource,
  envoyBootstrap,
  listenersReady,
  type ProcessRecord,
  type ProxyLimits,
  type ProxySettings,
  processIdentity,
  proxyPort,
  socketMark,
} from '@weir/envoy-config';
import { envoyTypes } from '@weir/xds-ts';
import {
  Bootstrap_DynamicResourcesSchema,
  BootstrapSchema,
} from '@weir/xds-ts/envoy/config/bootstrap/v3/bootstrap';
import { ClusterSchema } from '@weir/xds-ts/envoy/config/cluster/v3/cluster';
import { ApiVersion, ConfigSourceSchema } from '@weir/xds-ts/envoy/config/core/v3/config_source';
import { ListenerSchema } from '@weir/xds-ts/envoy/config/listener/v3/listener';
import { RouteConfigurationSchema } from '@weir/xds-ts/envoy/config/route/v3/route';
import { HttpConnectionManagerSchema } from '@weir/xds-ts/envoy/extensions/filters/network/http_connection_manager/v3/http_connection_manager';
import { temporaryFolder } from '../../run-name.ts';
import { listeningIn } from './listening-in.ts';
import { entering } from './network.ts';

const binaryPath = resolve(import.meta.dirname, '../../../build/envoy/envoy/_bin/envoy');

/** A class of a test; the port is the test's. */
export type TestClass = Omit<ClassInput, 'port'> & { readonly port: number };

/** The real Envoy in a namespace, fed from files that stand in for the xDS server. */
export interface EnvoyUnderTest {
  readonly directory: string;
  readonly adminSocketPath: string;
  readonly accessLogSocketPath: string;
  readonly process: EnvoyProcess;
  readonly pid: number;
  /** Gives it these classes and waits until it listens. */
  setClasses(classes: readonly TestClass[]): Promise<void>;
  /** Replaces one class's routes by RDS and waits until they are in force. */
  setRoutes(changed: TestClass): Promise<void>;
  stop(): Promise<void>;
}

/** Settings of the classes under test, where a test has no others. */
const usualSettings: ProxySettings = {
  proxyMark: socketMark(0x100),
  ipv6: false,
  accessLog: true,
  kafkaFilter: null,
  limits: defaultLimits,
};

/** Starts Envoy and waits until it is ready. */
export async function startEnvoy(
  namespace: string,
  limits: Partial<ProxyLimits> = {},
): Promise<EnvoyUnderTest> {
  const settings = { ...usualSettings, limits: { ...defaultLimits, ...limits } };
  const directory = temporaryFolder('envoy');
  const at = (name: string) => join(directory, name);
  for (const kind of ['lds', 'cds', 'rds']) writeResources(directory, kind, []);
  writeResources(
    directory,
    'cds',
    compileShared(settings).map((shared) => json(ClusterSchema, shared)),
  );
  let record: ProcessRecord | null = null;
  const process = createEnvoyProcess({
    binaryPath,
    bootstrap: fileBootstrap(directory),
    bootstrapPath: at('bootstrap.json'),
    logPath: at('envoy.log'),
    adminSocketPath: at('admin.sock'),
    concurrency: 1,
    logLevel: 'warning',
    enter: entering(namespace),
    store: { load: () => record, save: (saved) => (record = saved) },
    watchProcess: pollProcess,
    onEvent: () => undefined,
  });
  await process.start();
  await process.ready(10_000);
  if (process.state.kind !== 'ready' && process.state.kind !== 'starting')
    throw new Error('Envoy is not there');
  const { pid } = process.state;
  const routes = new Map<string, unknown>();

  async function setRoutes(changed: TestClass): Promise<void> {
    const { routes: version } = place(changed, directory, settings);
    routes.set(changed.id, version);
    const before = await updates(at('admin.sock'), changed.id);
    writeResources(directory, `rds-${changed.id}`, [version]);
    await until(async () => (await updates(at('admin.sock'), changed.id)) > before, 'the routes are taken');
  }

  return {
    directory,
    adminSocketPath: at('admin.sock'),
    accessLogSocketPath: at('als.sock'),
    process,
    pid,
    setRoutes,
    async setClasses(classes) {
      const placed = classes.map((one) => ({ one, ...place(one, directory, settings) }));
      for (const { one, routes: version } of placed) writeResources(directory, `rds-${one.id}`, [version]);
      writeResources(
        directory,
        'lds',
        placed.map(({ listener }) => listener),
      );
      await listenersReady({
        ports: classes.map(({ port }) => proxyPort(port)),
        ipv6: false,
        listening: listeningIn(pid),
        deadlineMs: 10_000,
      });
    },
    async stop() {
      await process.stop(5_000);
      rmSync(directory, { recursive: true });
    },
  };
}

/** Waits for a state that can only be looked at. */
export async function until(
  holds: () => Promise<boolean> | boolean,
  what: string,
  deadlineMs = 5_000,
): Promise<void> {
  const deadline = performance.now() + deadlineMs;
  while (!(await holds())) {
    if (performance.now() > deadline) throw new Error(`not so after ${deadlineMs} ms: ${what}`);
    await new Promise((done) => setTimeout(done, 2));
  }
}

/** Watches by looking: what the agent does with a pidfd. */
export function pollProcess(pid: number) {
  let timer: NodeJS.Timeout | null = null;
  const exited = new Promise<void>((done) => {
    timer = setInterval(() => {
      if (processIdentity(pid) !== null) return;
      if (timer !== null) clearInterval(timer);
      done();
    }, 5);
  });
  return { exited, close: () => timer !== null && clearInterval(timer) };
}

/** Our bootstrap, with files in the place of ADS. */
function fileBootstrap(directory: string): string {
  const registry = envoyTypes();
  const text = envoyBootstrap({
    nodeId: 'test',
    nodeCluster: 'test',
    adminSocketPath: join(directory, 'admin.sock'),
    xdsSocketPath: join(directory, 'xds.sock'),
    accessLogSocketPath: join(directory, 'als.sock'),
    maxHeapBytes: 2 ** 31,
    maxConnections: 10_000,
  });
  const bootstrap = fromJsonString(BootstrapSchema, text, { registry });
  // Counters per route configuration tell when one is in force.
  delete bootstrap.statsConfig;
  bootstrap.dynamicResources = create(Bootstrap_DynamicResourcesSchema, {
    ldsConfig: fileSource(directory, 'lds'),
    cdsConfig: fileSource(directory, 'cds'),
  });
  return toJsonString(BootstrapSchema, bootstrap, { registry });
}

function fileSource(directory: string, kind: string) {
  return create(ConfigSourceSchema, {
    resourceApiVersion: ApiVersion.V3,
    configSourceSpecifier: {
      case: 'pathConfigSource',
      value: { path: join(directory, `${kind}.json`), watchedDirectory: { path: directory } },
    },
  });
}

/** Compiles a class and lets its listener read the routes from a file. */
function place(
  test: TestClass,
  directory: string,
  settings: ProxySettings,
): { listener: unknown; routes: unknown } {
  const compiled = compileClass({ ...test, port: proxyPort(test.port) }, settings);
  if (compiled.kind === 'refused') throw new Error(compiled.problem.message);
  const [listenerResource, routesResource] = compiled.resources;
  if (listenerResource === undefined || routesResource === undefined)
    throw new Error('two resources expected');
  const listener = fromBinary(ListenerSchema, listenerResource.bytes);
  const filter = listener.filterChains[0]?.filters[0];
  if (filter?.configType.case !== 'typedConfig') throw new Error('no connection manager');
  const manager = anyUnpack(filter.configType.value, HttpConnectionManagerSchema);
  if (manager?.routeSpecifier.case !== 'rds') throw new Error('no RDS');
  manager.routeSpecifier.value.configSource = fileSource(directory, `rds-${test.id}`);
  filter.configType.value = anyPack(HttpConnectionManagerSchema, manager);
  const options = { registry: registry() };
  return {
    listener: typed(ListenerSchema, toJson(ListenerSchema, listener, options)),
    routes: json(RouteConfigurationSchema, routesResource),
  };
}

let types: ReturnType<typeof envoyTypes> | null = null;
function registry() {
  types ??= envoyTypes();
  return types;
}

function json(schema: DescMessage, { bytes }: EnvoyResource): unknown {
  return typed(schema, toJson(schema, fromBinary(schema, bytes), { registry: registry() }));
}

function typed(schema: DescMessage, value: unknown): unknown {
  return { '@type': `type.googleapis.com/${schema.typeName}`, ...(value as object) };
}

let version = 0;
function writeResources(directory: string, kind: string, resources: readonly unknown[]): void {
  const path = join(directory, `${kind}.json`);
  version += 1;
  writeFileSync(`${path}.new`, JSON.stringify({ version_info: `${version}`, resources }));
  renameSync(`${path}.new`, path);
}

async function updates(adminSocketPath: string, classId: string): Promise<number> {
  const { body } = await askAdmin(
    adminSocketPath,
    `/stats?filter=rds.${classId}.(update_success|update_rejected)`,
  );
  if (/update_rejected: [1-9]/.test(body)) throw new Error(`Envoy refused the routes of ${classId}`);
  return Number(/update_success: (\d+)/.exec(body)?.[1] ?? 0);
}
