import { randomUUID } from 'node:crypto';
import { readFileSync, rmSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { fromBinary, toBinary } from '@bufbuild/protobuf';
import {
  type ClassInput,
  compileShared,
  createAccessLogReceiver,
  createClassCompiler,
  createEnvoyProcess,
  defaultLimits,
  type EnvoyResource,
  envoyBootstrap,
  type KafkaFilter,
  type KafkaReport,
  listenersReady,
  type ProcessRecord,
  type ProxySettings,
  proxyPort,
  readKafkaFilter,
  socketMark,
} from '@weir/envoy-config';
import { classId } from '@weir/l7-policy';
import { createXdsServer, encodedResource } from '@weir/xds-server';
import { ListenerSchema } from '@weir/xds-ts/envoy/config/listener/v3/listener';
import { pollProcess, until } from '../../envoy-config/support/envoy-under-test.ts';
import { listeningIn } from '../../envoy-config/support/listening-in.ts';
import { entering } from '../../envoy-config/support/network.ts';
import { temporaryFolder } from '../../run-name.ts';

const binaryPath = resolve(import.meta.dirname, '../../../build/envoy/envoy/_bin/envoy');

/** A class of a test; the port is the proxy's. */
export type KafkaClass = Omit<ClassInput, 'port' | 'kind'> & { readonly port: number };

/** The real Envoy in a namespace, fed by our xDS server. */
export interface KafkaProxy {
  readonly pid: number;
  /** What the filter has reported. */
  readonly reports: KafkaReport[];
  /** Gives it these classes and waits until their ports listen. */
  setClasses(classes: readonly KafkaClass[]): Promise<void>;
  /** Replaces a class's rules and waits until Envoy has taken them. */
  setRules(changed: KafkaClass): Promise<void>;
  /** Adds a listener that is a TCP proxy and nothing else. */
  setPlain(listener: { readonly id: string; readonly port: number }): Promise<void>;
  log(): string;
  /** Ends Envoy, and fails when the filter has trapped that is not there for it. */
  stop(): Promise<void>;
}

/** Starts server and Envoy, with one worker or more. A filter that is given may trap. */
export async function startKafkaProxy(
  namespace: string,
  concurrency = 1,
  trapping: KafkaFilter | null = null,
): Promise<KafkaProxy> {
  const kafkaFilter = trapping ?? readKafkaFilter();
  const settings: ProxySettings = {
    proxyMark: socketMark(0x100),
    ipv6: false,
    accessLog: true,
    kafkaFilter,
    limits: defaultLimits,
  };
  const directory = temporaryFolder('kafka');
  const at = (name: string) => join(directory, name);
  const reports: KafkaReport[] = [];
  const compiler = createClassCompiler(randomUUID);
  const accessLog = await createAccessLogReceiver({
    socketPath: at('als.sock'),
    onRecords: () => undefined,
    onKafkaReports: (batch) => reports.push(...batch),
    onProblem: (message) => console.error(message),
  });
  const xds = createXdsServer();
  await xds.listen({ kind: 'unix', path: at('xds.sock') });
  xds.update({ set: compileShared(settings).map(resource) });
  let record: ProcessRecord | null = null;
  const envoy = createEnvoyProcess({
    binaryPath,
    bootstrap: envoyBootstrap({
      nodeId: 'test',
      nodeCluster: 'test',
      adminSocketPath: at('admin.sock'),
      xdsSocketPath: at('xds.sock'),
      accessLogSocketPath: at('als.sock'),
      maxHeapBytes: 2 ** 31,
      maxConnections: 100_000,
    }),
    bootstrapPath: at('bootstrap.json'),
    logPath: at('envoy.log'),
    adminSocketPath: at('admin.sock'),
    concurrency,
    logLevel: 'warning',
    enter: entering(namespace),
    store: { load: () => record, save: (saved) => (record = saved) },
    watchProcess: pollProcess,
    onEvent: () => undefined,
  });
  await envoy.start();
  await envoy.ready(10_000);
  if (envoy.state.kind !== 'ready' && envoy.state.kind !== 'starting') throw new Error('Envoy is not there');
  const { pid } = envoy.state;

  async function give(resources: readonly EnvoyResource[]): Promise<void> {
    xds.update({ set: resources.map(resource) });
    const targets = xds.targets(resources.map(({ typeUrl, name }) => ({ typeUrl, name })));
    await until(async () => {
      const answer = await xds.inForce({ targets, deadlineMs: 1_000 });
      if (answer.kind === 'refused')
        throw new Error(
          `${JSON.stringify(answer.refusals)}\n${readFileSync(at('envoy.log'), 'utf8').slice(-2000)}`,
        );
      return answer.kind === 'in-force';
    }, 'Envoy has the resources');
  }

  function compiled({ port, ...input }: KafkaClass): readonly EnvoyResource[] {
    const result = compiler.compileClass({ ...input, kind: 'kafka', port: proxyPort(port) }, settings);
    if (result.kind === 'refused') throw new Error(result.problem.message);
    return result.resources;
  }

  return {
    pid,
    reports,
    async setClasses(classes) {
      await give(classes.flatMap(compiled));
      await listenersReady({
        ports: classes.map(({ port }) => proxyPort(port)),
        listening: listeningIn(pid),
        ipv6: false,
        deadlineMs: 10_000,
      });
    },
    async setPlain({ id, port }) {
      const [made] = compiled({ id: classId(id), port, egress: null, ingress: [] });
      if (made === undefined) throw new Error('no listener');
      const listener = fromBinary(ListenerSchema, made.bytes);
      for (const chain of listener.filterChains) chain.filters.shift();
      await give([{ ...made, bytes: toBinary(ListenerSchema, listener) }]);
      await listenersReady({
        ports: [proxyPort(port)],
        listening: listeningIn(pid),
        ipv6: false,
        deadlineMs: 10_000,
      });
    },
    setRules: (changed) => give(compiled(changed).slice(1)),
    log: () => readFileSync(at('envoy.log'), 'utf8'),
    async stop() {
      await envoy.stop(5_000);
      await xds.close();
      await accessLog.close();
      const [trap] = /.*Uncaught RuntimeError.*/.exec(readFileSync(at('envoy.log'), 'utf8')) ?? [];
      rmSync(directory, { recursive: true });
      if (trap !== undefined && trapping === null) throw new Error(trap);
    },
  };
}

function resource({ typeUrl, name, bytes }: EnvoyResource) {
  return encodedResource({ typeUrl, name, value: bytes });
}
