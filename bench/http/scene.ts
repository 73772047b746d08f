import { type ChildProcess, execFile, spawn } from 'node:child_process';
import { readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import {
  type ClassInput,
  compileClass,
  compileShared,
  createAccessLogReceiver,
  createEnvoyProcess,
  defaultLimits,
  type EnvoyResource,
  envoyBootstrap,
  listenersReady,
  maxRouteBytes,
  type ProcessRecord,
  proxyPort,
  socketMark,
} from '@weir/envoy-config';
import { createXdsServer, encodedResource } from '@weir/xds-server';
import { pollProcess, until } from '../../tests/envoy-config/support/envoy-under-test.ts';
import { listeningIn } from '../../tests/envoy-config/support/listening-in.ts';
import { entering, makeNetwork } from '../../tests/envoy-config/support/network.ts';
import { type PeerConnection, startPeer } from '../../tests/envoy-config/support/peer-handle.ts';
import { temporaryFolder } from '../../tests/run-name.ts';
import { answeringServer } from '../datapath/envoy-config.ts';

/** What one run of wrk and the proxy's own accounting say. */
export interface Load {
  readonly rate: number;
  readonly p50Us: number;
  readonly p99Us: number;
  /** Processor time of Envoy for each request, all its threads. */
  readonly cpuUs: number;
  /** Requests that were answered with an error or not at all. */
  readonly failed: number;
}

/** The real Envoy between a client and a server, fed over xDS. */
export interface Scene {
  /** Adds a listener for a class; the client reaches it on the server port that is returned. */
  addClass(input: Omit<ClassInput, 'port'>): Promise<number>;
  /** Sets resources and waits until Envoy has accepted them; returns milliseconds. */
  push(...resources: readonly EnvoyResource[]): Promise<number>;
  /** Sets a resource and waits for nothing. */
  send(resource: EnvoyResource): void;
  /** Memory of Envoy. */
  residentKiB(): number;
  load(port: number, path: string, seconds: number): Promise<Load>;
  open(port: number): Promise<PeerConnection>;
  strike(): Promise<void>;
}

const root = resolve(import.meta.dirname, '../..');
const binaryPath = join(root, 'build/envoy/envoy/_bin/envoy');
const settings = {
  proxyMark: socketMark(0x100),
  ipv6: false,
  accessLog: true,
  kafkaFilter: null,
  limits: defaultLimits,
};
const connections = 16;
/** Ticks of /proc/PID/stat are hundredths of a second on Linux. */
const usPerTick = 10_000;

/** Makes it; everything stands in namespaces and a directory of its own. */
export async function setScene(): Promise<Scene> {
  const network = makeNetwork('bench');
  const directory = temporaryFolder('bench');
  const at = (name: string) => join(directory, name);
  const server = startServer(network.server, at('server.json'));
  const xds = createXdsServer({ limits: { responseBytes: 2 * maxRouteBytes } });
  await xds.listen({ kind: 'unix', path: at('xds.sock') });
  const receiver = await createAccessLogReceiver({
    socketPath: at('als.sock'),
    onRecords: () => undefined,
    onKafkaReports: () => undefined,
    onProblem: (message) => console.error(message),
  });
  let record: ProcessRecord | null = null;
  const envoy = createEnvoyProcess({
    binaryPath,
    bootstrap: envoyBootstrap({
      nodeId: 'bench',
      nodeCluster: 'bench',
      adminSocketPath: at('admin.sock'),
      xdsSocketPath: at('xds.sock'),
      accessLogSocketPath: at('als.sock'),
      maxHeapBytes: 2 ** 31,
      maxConnections: 10_000,
    }),
    bootstrapPath: at('bootstrap.json'),
    logPath: at('envoy.log'),
    adminSocketPath: at('admin.sock'),
    concurrency: 1,
    logLevel: 'error',
    enter: entering(network.proxy),
    store: {
      load: () => record,
      save: (saved) => {
        record = saved;
      },
    },
    watchProcess: pollProcess,
    onEvent: () => undefined,
  });
  await envoy.start();
  const client = await startPeer(network.client);
  const pid = () => (envoy.state.kind === 'ready' || envoy.state.kind === 'starting' ? envoy.state.pid : 0);
  const cpuTicks = () => {
    const fields = readFileSync(`/proc/${pid()}/stat`, 'utf8').split(') ').at(-1)?.split(' ') ?? [];
    return Number(fields[11]) + Number(fields[12]);
  };
  let classes = 0;

  const update = (resources: readonly EnvoyResource[]) =>
    xds.update({
      set: resources.map(({ typeUrl, name, bytes }) => encodedResource({ typeUrl, name, value: bytes })),
    });

  async function push(...resources: readonly EnvoyResource[]): Promise<number> {
    const since = performance.now();
    const result = await xds.inForce({ targets: update(resources), deadlineMs: 60_000 });
    if (result.kind !== 'in-force') throw new Error(`Envoy did not take it: ${JSON.stringify(result)}`);
    return performance.now() - since;
  }

  return {
    push,
    send: (resource) => void update([resource]),
    residentKiB: () => Number(/^VmRSS:\s+(\d+)/m.exec(readFileSync(`/proc/${pid()}/status`, 'utf8'))?.[1]),
    async addClass(input) {
      classes += 1;
      const [serverPort, port] = [1_000 + classes, proxyPort(15_000 + classes)];
      network.redirect(serverPort, port);
      const compiled = compileClass({ ...input, port }, settings);
      if (compiled.kind === 'refused') throw new Error(compiled.problem.message);
      await push(...compileShared(settings), ...compiled.resources);
      await listenersReady({ ports: [port], ipv6: false, listening: listeningIn(pid()), deadlineMs: 10_000 });
      return serverPort;
    },
    async load(port, path, seconds) {
      const before = cpuTicks();
      const url = `http://${network.serverAddress}:${port}${path}`;
      const text = await wrk(network.client, url, seconds);
      const requests = Number(/(\d+) requests in/.exec(text)?.[1]);
      return {
        rate: Number(/Requests\/sec:\s+([\d.]+)/.exec(text)?.[1]),
        p50Us: microseconds(/^\s+50%\s+(\S+)$/m.exec(text)?.[1]),
        p99Us: microseconds(/^\s+99%\s+(\S+)$/m.exec(text)?.[1]),
        cpuUs: ((cpuTicks() - before) * usPerTick) / requests,
        failed:
          Number(/Non-2xx or 3xx responses: (\d+)/.exec(text)?.[1] ?? 0) +
          [...text.matchAll(/(?:connect|read|write|timeout) (\d+)/g)].reduce(
            (sum, [, n]) => sum + Number(n),
            0,
          ),
      };
    },
    open: (port) => client.open(network.serverAddress, port),
    async strike() {
      await client.end();
      await envoy.stop(5_000);
      await xds.close({ drainMs: 0 });
      await receiver.close();
      await ended(server);
      network.remove();
      rmSync(directory, { recursive: true });
    },
  };
}

/** An Envoy that answers by itself on all ports of the classes. */
function startServer(namespace: string, path: string): ChildProcess {
  const ports = Array.from({ length: 40 }, (_, index) => 1_001 + index);
  writeFileSync(path, JSON.stringify(answeringServer(ports)));
  const envoy = [
    binaryPath,
    '-c',
    path,
    '--concurrency',
    '1',
    '--disable-hot-restart',
    '--log-level',
    'error',
  ];
  const [enter, ...words] = entering(namespace, ...envoy);
  return spawn(enter, words, { stdio: 'ignore' });
}

async function ended(child: ChildProcess): Promise<void> {
  child.kill('SIGTERM');
  await until(() => child.exitCode !== null || child.signalCode !== null, 'the server has ended');
}

function wrk(namespace: string, url: string, seconds: number): Promise<string> {
  const wrk = ['wrk', '-t1', `-c${connections}`, `-d${seconds}s`, '--latency', url];
  const [enter, ...words] = entering(namespace, ...wrk);
  return new Promise((done, failed) => {
    execFile(enter, words, (error, stdout) => (error === null ? done(stdout) : failed(error)));
  });
}

function microseconds(text = ''): number {
  const [, number, unit] = /^([\d.]+)(us|ms|s)$/.exec(text) ?? [];
  return Number(number) * (unit === 's' ? 1_000_000 : unit === 'ms' ? 1_000 : 1);
}
