import { endingWithUs } from './ending-with-us.ts';
import { run } from './run.ts';

/** A workload's place in the network: a namespace of its own, tied to the node by a veth pair. */
export interface Pod {
  readonly name: string;
  readonly address: string;
  /** Its IPv6 address, where it has one. */
  readonly address6?: string;
  /** Host side of the veth pair, in the node's namespace. */
  readonly interface: string;
}

/** A node of its own inside this machine: a namespace that forwards between its pods. */
export interface DemoNetwork {
  /** Words to put before a program so that it runs in the node's namespace. */
  readonly inNode: readonly [string, ...string[]];
  inPod(name: string): readonly [string, ...string[]];
  /** The namespace's name, for `ip netns exec`. */
  namespaceOf(name: string): string;
  remove(): Promise<void>;
}

/** Answers ARP in every pod; any link-local address does. */
const GATEWAY = '169.254.1.1';
/** The same on every link. */
const GATEWAY6 = 'fe80::1';

/**
 * Makes the namespaces `PREFIX-node` and `PREFIX-POD`. Nothing is touched outside of them, and
 * removing them removes everything. What an earlier run left under the same names goes first. What is started inside ends
 * with this process, unless it `stays`.
 */
export async function createNetwork(
  prefix: string,
  pods: readonly Pod[],
  stays = false,
): Promise<DemoNetwork> {
  const into = (name: string) => (stays ? enter(name) : endingWithUs(...enter(name)));
  const namespaceOf = (name: string): string => `${prefix}-${name}`;
  const node = namespaceOf('node');
  const names = ['node', ...pods.map(({ name }) => name)].map(namespaceOf);
  await removeNamespaces(names);
  try {
    for (const name of names) {
      await run('ip', ['netns', 'add', name]);
      await run('ip', ['-n', name, 'link', 'set', 'lo', 'up']);
      for (const [sysctl, value] of ipv6Of(pods)) await setSysctl(name, `net/ipv6/conf/${sysctl}`, value);
    }
    await setSysctl(node, 'net/ipv6/conf/all/forwarding', '1');
    await setSysctl(node, 'net/ipv4/ip_forward', '1');
    await run('ip', ['-n', node, 'address', 'add', `${GATEWAY}/32`, 'dev', 'lo']);
    for (const pod of pods) await addPod(node, namespaceOf(pod.name), pod);
  } catch (error) {
    await removeNamespaces(names);
    throw error;
  }
  return {
    inNode: into(node),
    inPod: (name) => into(namespaceOf(name)),
    namespaceOf,
    remove: () => removeNamespaces(names),
  };
}

/** Removes what `createNetwork` made under that prefix; what is not there is passed over. */
export function removeNetwork(prefix: string, pods: readonly Pod[]): Promise<void> {
  return removeNamespaces(['node', ...pods.map(({ name }) => name)].map((name) => `${prefix}-${name}`));
}

/** IPv6 as the pods need it: none, or one that serves at once and looks for no routers. */
function ipv6Of(pods: readonly Pod[]): readonly (readonly [sysctl: string, value: string])[] {
  if (pods.every(({ address6 }) => address6 === undefined)) return [['all/disable_ipv6', '1']];
  return ['all', 'default'].flatMap((scope) => [
    [`${scope}/accept_dad`, '0'],
    [`${scope}/router_solicitations`, '0'],
  ]);
}

async function addPod(node: string, namespace: string, pod: Pod): Promise<void> {
  const inPod = ['-n', namespace];
  await run('ip', [
    '-n',
    node,
    'link',
    'add',
    pod.interface,
    'type',
    'veth',
    'peer',
    'name',
    'eth0',
    'netns',
    namespace,
  ]);
  await run('ip', [...inPod, 'address', 'add', `${pod.address}/32`, 'dev', 'eth0']);
  await run('ip', [...inPod, 'link', 'set', 'eth0', 'up']);
  await run('ip', ['-n', node, 'link', 'set', pod.interface, 'up']);
  await run('ip', [...inPod, 'route', 'add', GATEWAY, 'dev', 'eth0', 'scope', 'link']);
  await run('ip', [...inPod, 'route', 'add', 'default', 'via', GATEWAY]);
  await run('ip', ['-n', node, 'route', 'add', `${pod.address}/32`, 'dev', pod.interface]);
  if (pod.address6 === undefined) return;
  await run('ip', ['-n', node, 'address', 'add', `${GATEWAY6}/64`, 'dev', pod.interface, 'nodad']);
  await run('ip', [...inPod, 'address', 'add', `${pod.address6}/128`, 'dev', 'eth0', 'nodad']);
  await run('ip', [...inPod, 'route', 'add', 'default', 'via', GATEWAY6, 'dev', 'eth0']);
  await run('ip', ['-n', node, 'route', 'add', `${pod.address6}/128`, 'dev', pod.interface]);
}

/** Ends all processes in these namespaces and removes them; what is not there is passed over. */
export async function removeNamespaces(names: readonly string[]): Promise<void> {
  const present = new Set((await run('ip', ['netns', 'list'])).split('\n').map((line) => line.split(' ')[0]));
  for (const name of names) {
    if (!present.has(name)) continue;
    const pids = (await run('ip', ['netns', 'pids', name])).split('\n').filter((pid) => pid !== '');
    for (const pid of pids) kill(Number(pid));
    await run('ip', ['netns', 'delete', name]);
  }
}

/** `ip netns exec` would mount a /sys of its own, which hides the BPF file system. */
function enter(namespace: string): [string, ...string[]] {
  return ['nsenter', `--net=/run/netns/${namespace}`];
}

async function setSysctl(namespace: string, name: string, value: string): Promise<void> {
  const [program, ...words] = enter(namespace);
  await run(program, [...words, 'sh', '-c', `echo ${value} >/proc/sys/${name}`]);
}

/** Whoever is in a namespace of ours was started by us, in this run or in one that crashed. */
function kill(pid: number): void {
  try {
    process.kill(pid, 'SIGKILL');
  } catch {
    // It has ended meanwhile.
  }
}
