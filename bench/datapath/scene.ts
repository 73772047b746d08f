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
import { runName } from '../../tests/run-name.ts';
import { answeringServer, type MarkedListener, tcpProxy } from './envoy-config.ts';

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
  /**
   * Resolves when the proxies have closed what is left of earlier load. HTTP keeps the connection to a server for five
   * idle seconds when its client has gone (upstreamIdleTimeoutMs): closing thousands took a fifth of what ran then.
   */
  settle(): Promise<void>;
  /** Throws unless each way was really taken. */
  check(): Promise<void>;
  strike(): Promise<void>;
}

const execute = promisify(execFile);
/** Runs a program in a namespace and gives what it prints. */
type Runner = (...words: readonly string[]) => Promise<string>;
const runner =
  ([program, ...into]: readonly [string, ...string[]]): Runner =>
  (...words) =>
    execute(program, [...into, ...words]).then(({ stdout }) => stdout);
const ROOT = resolve(import.meta.dirname, '../..');
const ENVOY = join(ROOT, 'build/envoy/envoy/_bin/envoy');
/** Listeners for TCP: one for each instance of the datapath. */
const TCP_PORTS = { plain: 13_001, accelerated: 13_002 } as const;
const REDIRECT_PORT = 13_003;
/** Mark and table of the TPROXY peer; they live in the bench's namespace only. */
const TPROXY_MARK = '0x1';

/** `quick` is HTTP with acceleration, `tproxy` HTTP; no policy selects those of `free`. */
const WAYS = ['direct', 'weir', 'tproxy', 'quick', 'free'] as const;
const PODS = WAYS.flatMap(podsOf);
function podsOf(way: string, index: number): Pod[] {
  return [
    { name: `${way}-server`, address: `10.78.${index}.1`, interface: `${way}-s` },
    { name: `${way}-client`, address: `10.78.${index}.2`, interface: `${way}-c` },
  ];
}
/**
 * TCP, each way in a node of its own, or it would pay for the others: NAT tracks the connections of its whole network
 * namespace, every packet passes all rules of iptables and of routing there, and the agent switches off what TPROXY gains
 * by (tcp_early_demux). `tcp` and `fast`, which is accelerated, go by our programs.
 */
const APART = ['redirect', 'divert', 'tcp', 'fast'] as const;
type Apart = (typeof APART)[number];
const podsApart = (way: Apart): Pod[] => podsOf(way, 100 + APART.indexOf(way));
const addressOf = (pod: string): string =>
  [...PODS, ...APART.flatMap(podsApart)].find(({ name }) => name === pod)?.address ?? '';

/** Who answers: a program that does next to nothing else, or an Envoy, which spends 8 µs of its own on a request. */
export type Server = 'bare' | 'envoy';

/** Makes the scene; takes a few seconds. Everything stands in namespaces and directories of its own. */
export async function setScene(server: Server): Promise<Scene> {
  const [first, second, third, fourth] = instancesApart();
  const [names, quick] = [stageNames(first), stageNames(second)];
  const tcpInstances = { plain: third, accelerated: fourth };
  const children: ChildProcess[] = [];
  const logFile = join(names.runDirectory, 'bench.log');
  const network = await createNetwork(`weir-${names.instance}`, PODS);
  const apart = (way: Apart) => createNetwork(`weir-${names.instance}-${way}`, podsApart(way));
  const [tcp, fast] = [await apart('tcp'), await apart('fast')];
  const [redirect, divert] = [await apart('redirect'), await apart('divert')];
  const networks = [network, tcp, fast, redirect, divert];
  const inPod = (pod: string): readonly [string, ...string[]] =>
    ({ tcp, fast, redirect, divert })[pod.replace(/-.*/, '')]?.inPod(pod) ?? network.inPod(pod);
  const inNode = runner(network.inNode);

  const tcpNode = (kind: keyof typeof tcpInstances, task: string, ...words: readonly string[]) =>
    runner((kind === 'plain' ? tcp : fast).inNode)(
      process.execPath,
      join(import.meta.dirname, 'tcp-node.ts'),
      task,
      tcpInstances[kind],
      ...words,
    );

  async function strike(): Promise<void> {
    for (const child of children) child.kill('SIGKILL');
    for (const kind of ['plain', 'accelerated'] as const) await tcpNode(kind, 'remove');
    for (const each of [names, quick])
      await inNode(...weir(each), 'uninstall', '--force', '--state-dir', each.stateDirectory);
    for (const each of networks) await each.remove();
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
    // Else ports that closed connections hold for a minute are soon nearly all, and a new one is a search for the rest.
    const pods = [...WAYS, ...APART].flatMap((way) => [inPod(`${way}-server`), inPod(`${way}-client`)]);
    for (const enter of [...networks.map((each) => each.inNode), ...pods])
      await runner(enter)('sysctl', '-qw', 'net.ipv4.tcp_max_tw_buckets=64');
    const bareServer = join(names.runDirectory, 'bare-server');
    await execute('gcc', ['-O2', '-o', bareServer, join(import.meta.dirname, 'bare-server.c')]);
    for (const way of [...WAYS, ...APART]) {
      const enter = inPod(`${way}-server`);
      if (server === 'bare') start(enter, bareServer, '80', '8080');
      else envoy(enter, `server-${way}`, answeringServer([80, 8080]), 1);
    }

    const marked = (kind: keyof typeof TCP_PORTS): MarkedListener => {
      return { port: TCP_PORTS[kind], mark: instanceOf(tcpInstances[kind]).marks.proxy };
    };
    for (const [kind, way, node] of [
      ['plain', 'tcp', tcp],
      ['accelerated', 'fast', fast],
    ] as const) {
      envoy(node.inNode, way, tcpProxy(marked(kind)), 2);
      const pair = ['server', 'client'].flatMap((role) => [addressOf(`${way}-${role}`), `${way}-${role[0]}`]);
      await tcpNode(kind, 'install', ...pair, String(TCP_PORTS[kind]), kind);
    }

    envoy(redirect.inNode, 'redirect', tcpProxy({ port: REDIRECT_PORT, mark: null }), 2);
    const inRedirect = runner(redirect.inNode);
    const from = ['-i', 'redirect-c', '-p', 'tcp', '--dport', '80'];
    const rule = ['-A', 'PREROUTING', ...from, '-j', 'REDIRECT', '--to-ports', String(REDIRECT_PORT)];
    // REDIRECT leads to the interface's own address.
    await inRedirect('ip', 'address', 'add', '10.78.100.254/32', 'dev', 'redirect-c');
    await inRedirect('iptables', '-t', 'nat', ...rule);

    envoy(divert.inNode, 'divert', tcpProxy(marked('plain')), 2);
    await installTproxy(runner(divert.inNode), 'divert', 80, TCP_PORTS.plain);

    const { classes } = await agent(names, 'weir');
    await agent(quick, 'quick', '--accelerate', 'on');
    const port = classes[0]?.port;
    if (port === undefined) throw new Error('the agent has no class');
    await installTproxy(inNode, 'tproxy', 8080, port);
    const variants = variantsOf(inPod);
    for (const variant of variants) await untilServed(variant);
    const check = async (): Promise<void> => {
      checkWays(await statusOf(names));
      for (const each of [network, divert]) await checkTproxy(runner(each.inNode));
      const { acceleration, accelerationCounters } = (await statusOf(quick)).datapath;
      if (acceleration.kind === 'off') throw new Error(acceleration.reason);
      if ((accelerationCounters['accelerated'] ?? 0) === 0) throw new Error('no HTTP went around TCP');
      if ((await tcpNode('accelerated', 'messages')) === '0\n') throw new Error('no TCP went around TCP');
    };
    return { variants, settle: () => untilIdle(inNode), strike, check };
  } catch (error) {
    await strike();
    throw error;
  }
}

/** Names of instances that share no mark: there are few, and all of these live in one namespace. */
function instancesApart(): readonly [string, string, string, string] {
  const byMark = new Map<number, string>();
  for (let number = 0; byMark.size < 4; number += 1) {
    const name = runName(`bench${number}`);
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
    ['TCP, TPROXY', 'divert', 80],
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

/** The usual way to a transparent proxy: known sockets first, then a rule for new connections, which says where it listens. */
async function installTproxy(inNode: Runner, way: string, port: number, listener: number): Promise<void> {
  const mangle = (...words: readonly string[]): Promise<string> =>
    inNode('iptables', '-t', 'mangle', ...words);
  await mangle('-N', 'DIVERT');
  await mangle('-A', 'DIVERT', '-j', 'MARK', '--set-mark', TPROXY_MARK);
  await mangle('-A', 'DIVERT', '-j', 'ACCEPT');
  for (const link of [`${way}-c`, `${way}-s`]) {
    const known = ['-i', link, '-p', 'tcp', '-m', 'socket', '--transparent'];
    await mangle('-A', 'PREROUTING', ...known, '-j', 'DIVERT');
  }
  const from = ['-i', `${way}-c`, '-p', 'tcp', '--dport', String(port)];
  const to = ['--on-ip', '127.0.0.1', '--on-port', String(listener), '--tproxy-mark', TPROXY_MARK];
  await mangle('-A', 'PREROUTING', ...from, '-j', 'TPROXY', ...to);
  await inNode('ip', 'route', 'add', 'local', 'default', 'dev', 'lo', 'table', '99');
  await inNode('ip', 'rule', 'add', 'pref', '99', 'fwmark', TPROXY_MARK, 'lookup', '99');
}

/** Connections must have gone the ways of our programs. */
function checkWays({ datapath: { counters } }: Status): void {
  if ((counters['redirected'] ?? 0) === 0) throw new Error('nothing was redirected by our programs');
  if ((counters['allowed'] ?? 0) === 0) throw new Error('nothing was allowed on layers 3 and 4');
}

/** TPROXY's rule must have seen packets. */
async function checkTproxy(inNode: Runner): Promise<void> {
  const rules = await inNode('iptables', '-t', 'mangle', '-nvxL', 'PREROUTING');
  if (!/^\s*[1-9]\d* .*TPROXY/m.test(rules)) throw new Error("TPROXY's rule saw no packet");
}

async function untilIdle(inNode: Runner): Promise<void> {
  let open = 0;
  for (const deadline = performance.now() + 20_000; performance.now() < deadline; await delay(100)) {
    open = (await inNode('ss', '-Htn', 'state', 'established')).split('\n').length - 1;
    if (open < 16) return;
  }
  throw new Error(`${open} connections of the proxies are still open`);
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
