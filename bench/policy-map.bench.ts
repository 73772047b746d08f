// What a look-up in the policy maps costs as they fill: `make bench-policy-map`, as root. The programs judge a new
// connection again and again (BPF_PROG_RUN), with 10 to 1,000,000 entries in the maps; written in batches as the agent
// writes them. The same packet finds the same entries in the CPU's caches: what is measured is the work, not memory.
import { spawnSync } from 'node:child_process';
import {
  anyIdentity,
  generation,
  identityNumber,
  ifindex,
  ipAddress,
  ipPrefix,
  lengthsOf,
  openDatapath,
  openGeneration,
  openingPacket,
  openPacketRunner,
  subjectNumber,
  tableNumber,
} from '@weir/bpf';
import { writeResult } from './result.ts';
import { median } from './statistics.ts';
import { table } from './table.ts';

const inside = 'WEIR_BENCH_POLICY_MAP';
if (process.env[inside] === undefined) {
  // Maps and interfaces of its own, and nothing left of them.
  const run = spawnSync(
    'unshare',
    [
      ...['-m', '-n', '--propagation', 'private', 'sh', '-c'],
      'mount -t bpf bpf /sys/fs/bpf && ip link set lo up && exec "$@"',
      ...['sh', process.execPath, import.meta.filename],
    ],
    { stdio: 'inherit', env: { ...process.env, [inside]: '1' } },
  );
  process.exit(run.status ?? 1);
}

const options = {
  instance: 'bench-policy-map',
  marks: { mask: 0xf00, deliver: 0x200, proxy: 0x300, reinject: 0x400 },
  bpffs: '/sys/fs/bpf',
};
const datapath = openDatapath(options);
const runner = openPacketRunner({ ...options, events: false });
const { maps } = datapath;
const loopback = ifindex(1);
const [pod, subject] = [ipAddress('10.0.0.1'), subjectNumber(1)];
const peer = { address: ipAddress('10.9.9.9'), identity: identityNumber(5_000) };
const enforced = generation(2);
/** Each shape of table that a peer can have; the packet goes to port 80. */
const shapes = {
  'one port': [{ protocol: 6, port: 80, portPrefixLength: 16 }],
  'any port': [{ protocol: 0, port: 0, portPrefixLength: 0 }],
  'four ranges, found last': [16, 14, 12, 0].map((portPrefixLength) => ({
    protocol: 6,
    port: portPrefixLength === 0 ? 0 : 0x8000,
    portPrefixLength,
  })),
} as const;

maps.endpoints.set(loopback, { identity: identityNumber(300), subject });
maps.localAddresses.set(pod, { identity: identityNumber(300), subject, ifindex: loopback });
maps.ipcache.set(ipPrefix(peer.address), peer.identity);
maps.subjects.set(subject, { ingress: enforced, egress: openGeneration });
maps.policyPeers.set({ generation: enforced, identity: anyIdentity }, { table: tableNumber(1), lengths: 0 });

const packet = openingPacket({
  protocol: 6,
  source: { address: peer.address, port: 40_000 },
  destination: { address: pod, port: 80 },
});

/** Nanoseconds to judge the opening packet; the entry in the table of connections is made again each time. */
function measure(): number {
  const rounds = Array.from({ length: 15 }, () => {
    runner.forget();
    return runner.run(packet, { hook: 'to-workload', ifindex: loopback }, 20_000).durationNs;
  });
  return median(rounds).median;
}

const figures: Record<string, { value: number; unit: string; better: 'lower' }> = {};
const rows = [['entries', ...Object.keys(shapes).map((shape) => `${shape}, ns`), 'write, ns an entry']];
let held = 0;
const bare = (() => {
  maps.subjects.set(subject, { ingress: openGeneration, egress: openGeneration });
  const ns = measure();
  maps.subjects.set(subject, { ingress: enforced, egress: openGeneration });
  return ns;
})();
for (const size of [10, 1_000, 100_000, 1_000_000]) {
  const more = Array.from({ length: size - held }, (_, at) => {
    const number = held + at;
    const key = { generation: generation(3 + (number >> 12)), identity: identityNumber(number & 0xfff) };
    return [key, { table: tableNumber(2 + (number & 0xff)), lengths: 1 << 16 }] as const;
  });
  const start = performance.now();
  maps.policyPeers.setBatch(more);
  const writeNs = ((performance.now() - start) * 1e6) / more.length;
  held = size;
  const costs = Object.entries(shapes).map(([shape, entries], at) => {
    const number = tableNumber(1_000_000 + at);
    const keys = entries.map((entry) => ({ table: number, ...entry }));
    maps.policyTables.setBatch(keys.map((key) => [key, { kind: 'allow' }]));
    maps.policyPeers.set(
      { generation: enforced, identity: peer.identity },
      { table: number, lengths: lengthsOf(keys) },
    );
    const ns = measure();
    figures[`${shape}, ${size} entries`] = { value: ns, unit: 'ns', better: 'lower' };
    return ns;
  });
  rows.push([size.toLocaleString('en'), ...costs.map((ns) => ns.toFixed(0)), writeNs.toFixed(0)]);
}
console.log(`a new connection to a workload, not enforced: ${bare.toFixed(0)} ns; judged by policy:\n`);
console.log(table(rows));
runner.close();
datapath.remove();
writeResult('policy-map', figures);
