import { type ChildProcess, execFile, spawn } from 'node:child_process';
import { mkdirSync, openSync, readFileSync, writeFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { promisify } from 'node:util';
import {
  controlClient,
  createNetwork,
  type Pod,
  type StageNames,
  type Status,
  socketPaths,
  stageNames,
  weir,
} from '@weir/agent';
import { instanceOf } from '@weir/redirect';
import { answeringServer, tcpProxy } from './envoy-config.ts';

/** One way from a client to a server. */
export interface Variant {
  readonly name:
    | 'direct'
    | 'unselected'
    | 'L4 policy'
    | 'TCP, Envoy'
    | 'TCP, accelerated'
    | 'TCP, TPROXY'
    | 'TCP, REDIRECT'
    | 'HTTP, Envoy'
    | 'HTTP, accelerated'
    | 'HTTP, TPROXY';
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
/** Listeners for TCP: one for each instance of the datapath. */
const TCP_PORTS = { plain: 13_001, accelerated: 13_002 } as const;
const REDIRECT_PORT = 13_003;
/** Mark and table of the TPROXY peer; they live in the bench's namespace only. */
const TPROXY_MARK = '0x1';

/** `fast` is TCP, `quick` HTTP with acceleration; no policy selects those of `free`. */
const WAYS = ['direct', 'weir', 'tcp', 'tproxy', 'fast', 'quick', 'free'] as const;
const PODS = WAYS.flatMap((way, index): Pod[] => [
  { name: `${way}-server`, address: `10.78.${index}.1`, interface: `${way}-s` },
  { name: `${way}-client`, address: `10.78.${index}.2`, interface: `${way}-c` },
]);
/** In a node of its own: NAT tracks the connections of its whole network namespace. */
const NAT_PODS: readonly Pod[] = [
  { name: 'redirect-server', address: '10.78.100.1', interface: 'redirect-s' },
  { name: 'redirect-client', address: '10.78.100.2', interface: 'redirect-c' },
];
const addressOf = (pod: string): string =>
  [...PODS, ...NAT_PODS].find(({ name }) => name === pod)?.address ?? '';

/** Makes the scene; takes a few seconds. Everything stands in namespaces and directories of its own. */
export async function setScene(): Promise<Scene> {
  const [first, second, third, fourth] = instancesApart();
  const [names, quick] = [stageNames(first), stageNames(second)];
  const tcpInstances = { plain: third, accelerated: fourth };
  const children: ChildProcess[] = [];
  const logFile = join(names.runDirectory, 'bench.log');
  const network = await createNetwork(`weir-${names.instance}`, PODS);
  const nat = await createNetwork(`weir-${names.instance}-nat`, NAT_PODS);
  const inPod = (pod: string): readonly [string, ...string[]] =>
    (pod.startsWith('redirect-') ? nat : network).inPod(pod);
  const [node, ...intoNode] = network.inNode;
  const inNode = (...words: readonly string[]): Promise<string> =>
    execute(node, [...intoNode, ...words]).then(({ stdout }) => stdout);

  const tcpNode = (...words: readonly string[]): Promise<string> =>
    inNode(process.execPath, join(import.meta.dirname, 'tcp-node.ts'), ...words);

  async function strike(): Promise<void> {
    for (const child of children) child.kill('SIGKILL');
    for (const instance of Object.values(tcpInstances)) await tcpNode('remove', instance);
    for (const each of [names, quick])
      await inNode(...weir(each), 'uninstall', '--force', '--state-dir', each.stateDirectory);
    await network.remove();
    await nat.remove();
  }

  function start(enter: readonly [string, ...string[]], ...words: readonly string[]): void {
    const log = openSync(logFile, 'a');
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

  /** Starts an agent for the pods of a way, and gives its status once it is healthy. */
  async function agent(stage: StageNames, way: string, ...words: readonly string[]): Promise<Status> {
    const policies = join(stage.runDirectory, 'policies');
    const workloads = join(stage.runDirectory, 'workloads.yaml');
    mkdirSync(policies, { recursive: true });
    writeFileSync(workloads, workloadsOf(way));
    writeFileSync(join(policies, 'bench.yaml'), POLICY);
    const files = ['--policies', policies, '--workloads', workloads, '--state-dir', stage.stateDirectory];
    start(network.inNode, ...weir(stage), 'agent', ...files, '--envoy-concurrency', '2', ...words);
    return untilHealthy(
      () => statusOf(stage),
      () => readFileSync(logFile, 'utf8'),
    );
  }

  try {
    mkdirSync(names.runDirectory, { recursive: true });
    for (const way of [...WAYS, 'redirect']) {
      envoy(inPod(`${way}-server`), `server-${way}`, answeringServer([80, 8080]), 1);
    }

    const kinds = ['plain', 'accelerated'] as const;
    const listeners = kinds.map((kind) => {
      return { port: TCP_PORTS[kind], mark: instanceOf(tcpInstances[kind]).marks.proxy };
    });
    envoy(network.inNode, 'tcp', tcpProxy(...listeners), 2);
    for (const [kind, way] of [
      ['plain', 'tcp'],
      ['accelerated', 'fast'],
    ] as const) {
      const pair = ['server', 'client'].flatMap((role) => [addressOf(`${way}-${role}`), `${way}-${role[0]}`]);
      await tcpNode('install', tcpInstances[kind], ...pair, String(TCP_PORTS[kind]), kind);
    }

    envoy(nat.inNode, 'redirect', tcpProxy({ port: REDIRECT_PORT, mark: null }), 2);
    const [natNode, ...intoNat] = nat.inNode;
    const from = ['-i', 'redirect-c', '-p', 'tcp', '--dport', '80'];
    const rule = ['-A', 'PREROUTING', ...from, '-j', 'REDIRECT', '--to-ports', String(REDIRECT_PORT)];
    // REDIRECT leads to the interface's own address.
    await execute(natNode, [...intoNat, 'ip', 'address', 'add', '10.78.100.254/32', 'dev', 'redirect-c']);
    await execute(natNode, [...intoNat, 'iptables', '-t', 'nat', ...rule]);

    const { classes } = await agent(names, 'weir');
    await agent(quick, 'quick', '--accelerate', 'on');
    const port = classes[0]?.port;
    if (port === undefined) throw new Error('the agent has no class');
    await installTproxy(inNode, { 80: TCP_PORTS.plain, 8080: port });
    const variants = variantsOf(inPod);
    for (const variant of variants) await untilServed(variant);
    const check = async (): Promise<void> => {
      await checkWays(await statusOf(names), inNode);
      const { acceleration, accelerationCounters } = (await statusOf(quick)).datapath;
      if (acceleration.kind === 'off') throw new Error(acceleration.reason);
      if ((accelerationCounters['accelerated'] ?? 0) === 0) throw new Error('no HTTP went around TCP');
      if ((await tcpNode('messages', tcpInstances.accelerated)) === '0\n')
        throw new Error('no TCP went around TCP');
    };
    return { variants, strike, check };
  } catch (error) {
    await strike();
    throw error;
  }
}

/** Names of instances that share no mark: there are few, and all of these live in one namespace. */
function instancesApart(): readonly [string, string, string, string] {
  const byMark = new Map<number, string>();
  for (let number = 0; byMark.size < 4; number += 1) {
    const name = `bench${process.pid}n${number}`;
    byMark.set(instanceOf(name).marks.proxy, name);
  }
  return [...byMark.values()] as [string, string, string, string];
}

const statusOf = async ({ runDirectory }: StageNames): Promise<Status> =>
  (await controlClient(socketPaths(runDirectory).control).call('GET', '/v1/status')) as Status;

function variantsOf(inPod: (name: string) => readonly [string, ...string[]]): readonly Variant[] {
  const ways: readonly (readonly [Variant['name'], string, number])[] = [
    ['direct', 'direct', 80],
    ['unselected', 'free', 80],
    ['L4 policy', 'weir', 80],
    ['TCP, Envoy', 'tcp', 80],
    ['TCP, accelerated', 'fast', 80],
    ['TCP, TPROXY', 'tproxy', 80],
    ['TCP, REDIRECT', 'redirect', 80],
    ['HTTP, Envoy', 'weir', 8080],
    ['HTTP, accelerated', 'quick', 8080],
    ['HTTP, TPROXY', 'tproxy', 8080],
  ];
  return ways.map(([name, way, port]) => ({
    name,
    port,
    address: addressOf(`${way}-server`),
    enter: inPod(`${way}-client`),
  }));
}

/**
 * The usual way to a transparent proxy: known sockets first, then a rule for new connections to each port, which says
 * where the proxy listens.
 */
async function installTproxy(
  inNode: (...words: readonly string[]) => Promise<string>,
  ports: Readonly<Record<string, number>>,
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
  for (const [port, listener] of Object.entries(ports)) {
    const from = ['-i', 'tproxy-c', '-p', 'tcp', '--dport', port];
    const to = ['--on-ip', '127.0.0.1', '--on-port', String(listener), '--tproxy-mark', TPROXY_MARK];
    await mangle('-A', 'PREROUTING', ...from, '-j', 'TPROXY', ...to);
  }
  await inNode('ip', 'route', 'add', 'local', 'default', 'dev', 'lo', 'table', '99');
  await inNode('ip', 'rule', 'add', 'pref', '99', 'fwmark', TPROXY_MARK, 'lookup', '99');
}

/** Each way must have been taken: redirects by our programs, and packets that TPROXY's rule saw. */
async function checkWays(
  { datapath: { counters } }: Status,
  inNode: (...words: readonly string[]) => Promise<string>,
): Promise<void> {
  if ((counters['redirected'] ?? 0) === 0) throw new Error('nothing was redirected by our programs');
  if ((counters['allowed'] ?? 0) === 0) throw new Error('nothing was allowed on layers 3 and 4');
  const rules = await inNode('iptables', '-t', 'mangle', '-nvxL', 'PREROUTING');
  if (rules.match(/^\s*[1-9]\d* .*TPROXY/gm)?.length !== 2) throw new Error("TPROXY's rule saw no packet");
}

async function untilHealthy(look: () => Promise<Status>, log: () => string): Promise<Status> {
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
  throw new Error(`the agent did not become healthy: ${JSON.stringify(seen)}\n${log()}`);
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

/** The pods of a way, and with those of `weir` some that no policy selects. */
function workloadsOf(way: string): string {
  const ways = way === 'weir' ? [way, 'free'] : [way];
  const lines = ways.flatMap((each) =>
    ['server', 'client'].map((role) => {
      const pod = PODS.find(({ name }) => name === `${each}-${role}`);
      const label = each === way ? role : 'free';
      return `  - {name: ${each}-${role}, labels: {role: ${label}}, interface: ${pod?.interface}, addresses: [${pod?.address}]}`;
    }),
  );
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
              - {method: GET, path: /v1/bulk}
`;
