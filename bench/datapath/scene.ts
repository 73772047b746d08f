import { type ChildProcess, execFile, spawn } from 'node:child_process';
import { mkdirSync, openSync, writeFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { promisify } from 'node:util';
import {
  controlClient,
  createNetwork,
  type Pod,
  type Status,
  socketPaths,
  stageNames,
  weir,
} from '@weir/agent';
import { instanceOf } from '@weir/redirect';
import { answeringServer, tcpProxy } from './envoy-config.ts';

/** One way from a client to a server. */
export interface Variant {
  readonly name: 'direct' | 'L4 policy' | 'TCP, Envoy' | 'HTTP, Envoy' | 'HTTP, TPROXY';
  /** Words that lead into the client's namespace. */
  readonly enter: readonly [string, ...string[]];
  readonly address: string;
  readonly port: number;
}

/** A node with a pair of pods for each way. */
export interface Scene {
  readonly variants: readonly Variant[];
  /** Throws unless each way was really taken. */
  check(): Promise<void>;
  strike(): Promise<void>;
}

const execute = promisify(execFile);
const ROOT = resolve(import.meta.dirname, '../..');
const ENVOY = join(ROOT, 'build/envoy/envoy/_bin/envoy');
const TCP_PORT = 13_001;
/** Mark and table of the TPROXY peer; they live in the bench's namespace only. */
const TPROXY_MARK = '0x1';

const PODS = ['direct', 'weir', 'tcp', 'tproxy'].flatMap((way, index): Pod[] => [
  { name: `${way}-server`, address: `10.78.${index}.1`, interface: `${way}-s` },
  { name: `${way}-client`, address: `10.78.${index}.2`, interface: `${way}-c` },
]);
const addressOf = (pod: string): string => PODS.find(({ name }) => name === pod)?.address ?? '';

/** Makes the scene; takes a few seconds. Everything stands in namespaces and directories of its own. */
export async function setScene(): Promise<Scene> {
  const names = stageNames(`bench${process.pid}`);
  const tcpInstance = `benchtcp${process.pid}`;
  const children: ChildProcess[] = [];
  const client = controlClient(socketPaths(names.runDirectory).control);
  const network = await createNetwork(`weir-${names.instance}`, PODS);
  const [node, ...intoNode] = network.inNode;
  const inNode = (...words: readonly string[]): Promise<string> =>
    execute(node, [...intoNode, ...words]).then(({ stdout }) => stdout);

  async function strike(): Promise<void> {
    for (const child of children) child.kill('SIGKILL');
    await inNode(process.execPath, join(import.meta.dirname, 'tcp-node.ts'), 'remove', tcpInstance);
    await inNode(...weir(names), 'uninstall', '--force', '--state-dir', names.stateDirectory);
    await network.remove();
  }

  function start(enter: readonly [string, ...string[]], ...words: readonly string[]): void {
    const log = openSync(join(names.runDirectory, 'bench.log'), 'a');
    const [program, ...rest] = enter;
    children.push(spawn(program, [...rest, ...words], { stdio: ['ignore', log, log] }));
  }

  function envoy(enter: readonly [string, ...string[]], name: string, config: object, threads: number): void {
    const path = join(names.runDirectory, `${name}.json`);
    writeFileSync(path, JSON.stringify(config));
    start(
      enter,
      ENVOY,
      '-c',
      path,
      '--concurrency',
      String(threads),
      '--disable-hot-restart',
      '--log-level',
      'error',
    );
  }

  try {
    const policies = join(names.runDirectory, 'policies');
    mkdirSync(policies, { recursive: true });
    writeFileSync(join(names.runDirectory, 'workloads.yaml'), workloads());
    writeFileSync(join(policies, 'bench.yaml'), POLICY);
    for (const way of ['direct', 'weir', 'tcp', 'tproxy']) {
      envoy(network.inPod(`${way}-server`), `server-${way}`, answeringServer([80, 8080]), 1);
    }

    envoy(network.inNode, 'tcp', tcpProxy(TCP_PORT, instanceOf(tcpInstance).marks.proxy), 2);
    const pair = [addressOf('tcp-server'), 'tcp-s', addressOf('tcp-client'), 'tcp-c', String(TCP_PORT)];
    await inNode(process.execPath, join(import.meta.dirname, 'tcp-node.ts'), 'install', tcpInstance, ...pair);

    const files = ['--policies', policies, '--workloads', join(names.runDirectory, 'workloads.yaml')];
    start(
      network.inNode,
      ...weir(names),
      'agent',
      ...files,
      '--state-dir',
      names.stateDirectory,
      '--envoy-concurrency',
      '2',
    );
    const status = await untilHealthy(() => client.call('GET', '/v1/status') as Promise<Status>);
    const port = status.classes[0]?.port;
    if (port === undefined) throw new Error('the agent has no class');
    await installTproxy(inNode, port);
    const variants = variantsOf(network.inPod);
    for (const variant of variants) await untilServed(variant);
    return { variants, strike, check: () => checkWays(client, inNode) };
  } catch (error) {
    await strike();
    throw error;
  }
}

function variantsOf(inPod: (name: string) => readonly [string, ...string[]]): readonly Variant[] {
  const ways: readonly (readonly [Variant['name'], string, number])[] = [
    ['direct', 'direct', 80],
    ['L4 policy', 'weir', 80],
    ['TCP, Envoy', 'tcp', 80],
    ['HTTP, Envoy', 'weir', 8080],
    ['HTTP, TPROXY', 'tproxy', 8080],
  ];
  return ways.map(([name, way, port]) => ({
    name,
    port,
    address: addressOf(`${way}-server`),
    enter: inPod(`${way}-client`),
  }));
}

/** The usual way to a transparent proxy: known sockets first, then the rule for new connections. */
async function installTproxy(
  inNode: (...words: readonly string[]) => Promise<string>,
  port: number,
): Promise<void> {
  const mangle = (...words: readonly string[]): Promise<string> =>
    inNode('iptables', '-t', 'mangle', ...words);
  await mangle('-N', 'DIVERT');
  await mangle('-A', 'DIVERT', '-j', 'MARK', '--set-mark', TPROXY_MARK);
  await mangle('-A', 'DIVERT', '-j', 'ACCEPT');
  for (const link of ['tproxy-c', 'tproxy-s']) {
    await mangle(
      '-A',
      'PREROUTING',
      '-i',
      link,
      '-p',
      'tcp',
      '-m',
      'socket',
      '--transparent',
      '-j',
      'DIVERT',
    );
  }
  const to = ['--on-ip', '127.0.0.1', '--on-port', String(port), '--tproxy-mark', TPROXY_MARK];
  await mangle('-A', 'PREROUTING', '-i', 'tproxy-c', '-p', 'tcp', '--dport', '8080', '-j', 'TPROXY', ...to);
  await inNode('ip', 'route', 'add', 'local', 'default', 'dev', 'lo', 'table', '99');
  await inNode('ip', 'rule', 'add', 'pref', '99', 'fwmark', TPROXY_MARK, 'lookup', '99');
}

/** Each way must have been taken: redirects by our programs, and packets that TPROXY's rule saw. */
async function checkWays(
  client: { call(method: string, path: string): Promise<unknown> },
  inNode: (...words: readonly string[]) => Promise<string>,
): Promise<void> {
  const { counters } = ((await client.call('GET', '/v1/status')) as Status).datapath;
  if ((counters['redirected'] ?? 0) === 0) throw new Error('nothing was redirected by our programs');
  if ((counters['allowed'] ?? 0) === 0) throw new Error('nothing was allowed on layers 3 and 4');
  const seen = /^\s*([1-9]\d*) .*TPROXY/m.test(
    await inNode('iptables', '-t', 'mangle', '-nvxL', 'PREROUTING'),
  );
  if (!seen) throw new Error("TPROXY's rule saw no packet");
}

async function untilHealthy(look: () => Promise<Status>): Promise<Status> {
  let seen: unknown = 'nothing';
  for (const deadline = performance.now() + 20_000; performance.now() < deadline; await delay(50)) {
    try {
      const status = await look();
      if (status.healthy) return status;
      seen = status;
    } catch (error) {
      seen = String(error);
    }
  }
  throw new Error(`the agent did not become healthy: ${JSON.stringify(seen)}`);
}

async function untilServed({ name, enter, address, port }: Variant): Promise<void> {
  const [program, ...words] = enter;
  let seen = '';
  for (const deadline = performance.now() + 20_000; performance.now() < deadline; await delay(50)) {
    try {
      await execute(program, [
        ...words,
        'curl',
        '-sf',
        '-m',
        '1',
        '-o',
        '/dev/null',
        `http://${address}:${port}/v1/request-landing`,
      ]);
      return;
    } catch (error) {
      seen = String(error);
    }
  }
  throw new Error(`${name} does not serve: ${seen}`);
}

function workloads(): string {
  const lines = ['server', 'client'].map((role) => {
    const pod = PODS.find(({ name }) => name === `weir-${role}`);
    return `  - {name: ${role}, labels: {role: ${role}}, interface: ${pod?.interface}, addresses: [${pod?.address}]}`;
  });
  return `workloads:\n${lines.join('\n')}\n`;
}

const POLICY = `apiVersion: cilium.io/v2
kind: CiliumNetworkPolicy
metadata: {name: bench, namespace: default}
spec:
  endpointSelector: {matchLabels: {role: server}}
  ingress:
    - fromEndpoints: [{matchLabels: {role: client}}]
      toPorts:
        - ports: [{port: "80", protocol: TCP}]
    - fromEndpoints: [{matchLabels: {role: client}}]
      toPorts:
        - ports: [{port: "8080", protocol: TCP}]
          rules:
            http:
              - {method: GET, path: /v1/request-landing}
`;
