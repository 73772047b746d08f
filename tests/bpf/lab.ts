// A node and its workloads in network namespaces. `enterLab` runs the calling test file again inside the node's
// namespace, so that the datapath under test attaches there, and takes everything down when that run has ended.
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { existsSync, readdirSync, statfsSync } from 'node:fs';
import { join } from 'node:path';
import { endingWithUs } from '@weir/agent';
import {
  type Datapath,
  type DatapathOptions,
  type DenyAction,
  type Generation,
  generation,
  identityNumber,
  ifindex,
  ipAddress,
  lengthsOf,
  openDatapath,
  openGeneration,
  type PeerKey,
  type PolicyVerdict,
  type SubjectNumber,
  subjectNumber,
  tableNumber,
} from '@weir/bpf';
import { runName } from '../run-name.ts';

export const bpffs = '/sys/fs/bpf';
export const marks = { mask: 0xf00, deliver: 0x200, proxy: 0x300, reinject: 0x400 };

/** Workloads behind veths that carry the programs, and a machine outside behind one that does not. */
export const workloads = {
  alpha: { address: '10.71.1.2', address6: 'fd71:1::2', identity: 1001, subject: 1, link: 'weir-alpha' },
  beta: { address: '10.71.2.2', address6: 'fd71:2::2', identity: 1002, subject: 2, link: 'weir-beta' },
  gamma: { address: '10.71.3.2', address6: 'fd71:3::2', identity: 1003, subject: 3, link: 'weir-gamma' },
} as const;
export const outside = { address: '10.71.9.2', address6: 'fd71:9::2', link: 'weir-outside' } as const;
export const nodeAddress = '10.71.9.1';

/** The two address families, for tests that hold in both. */
export const families = ['IPv4', 'IPv6'] as const;
export type FamilyName = (typeof families)[number];

/** The address of a place in a family. */
export function addressIn(
  family: FamilyName,
  place: { readonly address: string; readonly address6: string },
): string {
  return family === 'IPv4' ? place.address : place.address6;
}

/** The node's own address on the link of a place. */
export function gatewayOf(address: string): string {
  return address.replace(/2$/, '1');
}

export type WorkloadName = keyof typeof workloads;
export type PlaceName = WorkloadName | 'outside' | 'node';

const labVariable = 'WEIR_BPF_LAB';

export function command(program: string, ...words: string[]): string {
  const done = spawnSync(program, words, { encoding: 'utf8' });
  if (done.status !== 0) throw new Error(`${program} ${words.join(' ')}: ${done.stderr}${done.error ?? ''}`);
  return done.stdout;
}

const namespaceOf = (lab: string, place: PlaceName) => `${lab}-${place}`;
export const namespacePath = (lab: string, place: PlaceName) => `/run/netns/${namespaceOf(lab, place)}`;

/** Name of the lab this run is in. Outside of one: makes it, runs the file inside, cleans up, and ends the process. */
export function enterLab(file: string): string {
  const inside = process.env[labVariable];
  if (inside !== undefined) return inside;
  const lab = runName('weirbpf');
  let status: number | null = 1;
  try {
    build(lab);
    const again = [process.execPath, ...process.execArgv, file, ...process.argv.slice(2)];
    const [program, ...words] = endingWithUs('nsenter', `--net=${namespacePath(lab, 'node')}`, ...again);
    const run = spawnSync(program, words, {
      stdio: 'inherit',
      env: { ...process.env, [labVariable]: lab },
    });
    status = run.status;
  } finally {
    demolish(lab);
  }
  process.exit(status ?? 1);
}

/** Sees to it that there is a bpffs, which some machines do not mount by themselves. */
export function mountBpffs(): void {
  if (statfsSync(bpffs).type !== 0xcafe4a11) command('mount', '-t', 'bpf', 'bpf', bpffs);
}

function build(lab: string): void {
  mountBpffs();
  const places = [...Object.keys(workloads), 'outside', 'node'] as PlaceName[];
  for (const place of places) {
    command('ip', 'netns', 'add', namespaceOf(lab, place));
    const inside = (...words: string[]) => command('nsenter', `--net=${namespacePath(lab, place)}`, ...words);
    inside('ip', 'link', 'set', 'lo', 'up');
    // Addresses serve at once, and nobody looks for routers.
    for (const scope of ['all', 'default'])
      inside(
        'sysctl',
        '-qw',
        `net.ipv6.conf.${scope}.accept_dad=0`,
        `net.ipv6.conf.${scope}.router_solicitations=0`,
        `net.ipv6.conf.${scope}.forwarding=${place === 'node' ? 1 : 0}`,
      );
  }
  const node = (...words: string[]) => command('nsenter', `--net=${namespacePath(lab, 'node')}`, ...words);
  node(
    'sysctl',
    '-qw',
    'net.ipv4.ip_forward=1',
    'net.ipv4.conf.all.rp_filter=0',
    'net.ipv4.conf.default.rp_filter=0',
    // As the agent sets it: what netfilter translates on its way to a workload must get there, to be sent round.
    'net.ipv4.tcp_early_demux=0',
  );
  const ends: [PlaceName, { address: string; address6: string; link: string }][] = [
    ...(Object.entries(workloads) as [WorkloadName, (typeof workloads)[WorkloadName]][]),
    ['outside', outside],
  ];
  for (const [place, { address, address6, link }] of ends) {
    const gateway = gatewayOf(address);
    const gateway6 = gatewayOf(address6);
    const inside = (...words: string[]) => command('nsenter', `--net=${namespacePath(lab, place)}`, ...words);
    node('ip', 'link', 'add', link, 'type', 'veth', 'peer', 'name', 'eth0', 'netns', namespaceOf(lab, place));
    node('ip', 'addr', 'add', `${gateway}/24`, 'dev', link);
    node('ip', 'addr', 'add', `${gateway6}/64`, 'dev', link, 'nodad');
    node('sysctl', '-qw', `net.ipv4.conf.${link}.accept_local=1`);
    node('ip', 'link', 'set', link, 'up');
    inside('ip', 'addr', 'add', `${address}/24`, 'dev', 'eth0');
    inside('ip', 'addr', 'add', `${address6}/64`, 'dev', 'eth0', 'nodad');
    inside('ip', 'link', 'set', 'eth0', 'up');
    inside('ip', 'route', 'add', 'default', 'via', gateway);
    inside('ip', 'route', 'add', 'default', 'via', gateway6);
  }
  const mark = `${marks.deliver}/${marks.mask}`;
  for (const family of ['-4', '-6']) {
    node('ip', family, 'rule', 'add', 'fwmark', mark, 'lookup', '2004', 'priority', '10');
    node('ip', family, 'route', 'add', 'local', 'default', 'dev', 'lo', 'table', '2004');
  }
}

function demolish(lab: string): void {
  for (const place of [...Object.keys(workloads), 'outside', 'node'] as PlaceName[]) {
    spawnSync('ip', ['netns', 'del', namespaceOf(lab, place)]);
  }
  const pins = join(bpffs, 'weir', lab);
  if (!existsSync(pins)) return;
  const left = readdirSync(pins);
  spawnSync('rm', ['-rf', pins]);
  assert.deepEqual(left, [], 'pins left behind');
}

/** Number of a workload's host-side interface. Call it inside the lab. */
export function linkOf(link: string): ReturnType<typeof ifindex> {
  const [facts] = JSON.parse(command('ip', '-j', 'link', 'show', link)) as { ifindex: number }[];
  return ifindex(facts!.ifindex);
}

/** Opens a datapath for the lab, with every workload known, attached and judged by nothing yet. */
export function openLabDatapath(
  lab: string,
  { denyAction = 'drop', ...options }: Partial<DatapathOptions> & { denyAction?: DenyAction } = {},
): Datapath {
  const datapath = openDatapath({
    instance: lab,
    marks,
    bpffs,
    capacity: { policyPeers: 4096, policyTables: 4096, ipcache: 1024, endpoints: 64, connections: 4096 },
    ...options,
  });
  for (const { address, address6, identity, subject, link } of Object.values(workloads)) {
    const endpoint = { identity: identityNumber(identity), subject: subjectNumber(subject) };
    datapath.maps.subjects.set(endpoint.subject, { ingress: openGeneration, egress: openGeneration });
    for (const own of [address, address6])
      datapath.maps.localAddresses.set(ipAddress(own), { ...endpoint, ifindex: linkOf(link), denyAction });
    datapath.maps.endpoints.set(linkOf(link), endpoint);
    datapath.attach(linkOf(link));
  }
  datapath.attach(linkOf(outside.link), 'network');
  return datapath;
}

/** Generations and tables are numbered together: no number is given twice. */
let lastNumber: number = openGeneration;
const freshNumber = () => {
  lastNumber += 1;
  return lastNumber;
};

/** One line of a policy: `peer` is an identity, 0 any; without protocol any; without port any. */
export interface Rule {
  readonly direction: 'ingress' | 'egress';
  readonly peer: number;
  readonly protocol?: number;
  readonly port?: number;
  readonly portPrefixLength?: number;
  readonly verdict: PolicyVerdict;
}

/** Writes a complete new version of a workload's policy and switches to it. Directions with rules are enforced. */
export function apply(
  datapath: Datapath,
  name: WorkloadName,
  rules: readonly Rule[],
  enforced: readonly Rule['direction'][] = [...new Set(rules.map((rule) => rule.direction))],
): SubjectNumber {
  const subject = subjectNumber(workloads[name].subject);
  const write = (direction: Rule['direction']): Generation => {
    if (!enforced.includes(direction)) return openGeneration;
    const own = rules.filter((rule) => rule.direction === direction);
    const next = generation(freshNumber());
    for (const peer of new Set(own.map((rule) => rule.peer))) {
      const said = own.filter((rule) => rule.peer === peer);
      writeTable(datapath, { generation: next, identity: identityNumber(peer) }, said);
    }
    return next;
  };
  datapath.maps.subjects.set(subject, { ingress: write('ingress'), egress: write('egress') });
  return subject;
}

function writeTable(datapath: Datapath, key: PeerKey, rules: readonly Rule[]): void {
  const table = tableNumber(freshNumber());
  const entries = rules.map(({ protocol = 0, port, portPrefixLength, verdict }) => {
    const length = portPrefixLength ?? (port === undefined ? 0 : 16);
    return [{ table, protocol, port: port ?? 0, portPrefixLength: length }, verdict] as const;
  });
  datapath.maps.policyTables.setBatch(entries);
  datapath.maps.policyPeers.set(key, { table, lengths: lengthsOf(entries.map(([entry]) => entry)) });
}
