// Nanoseconds that the programs take for a packet, by BPF_PROG_RUN, at 10, 10,000 and 1,000,000 policy entries and
// connections. `same`: one packet again and again; `any`: another connection each time, out of all there are, so that
// the memory behind the maps counts too. Sizes are interleaved. `node bench/packet-cost.bench.ts [ROUNDS]`
import {
  type ConnectionEnds,
  generation,
  type Ifindex,
  identityNumber,
  ipAddress,
  ipPrefix,
  lengthsOf,
  openDatapath,
  openGeneration,
  openingPacket,
  openPacketRunner,
  type PacketPlace,
  type PacketRunner,
  subjectNumber,
  type TableKey,
  tableNumber,
} from '@weir/bpf';
import { enterOwnNamespace } from '../tests/bpf/conformance/own-namespace.ts';
import { bpffs, marks, mountBpffs } from '../tests/bpf/lab.ts';
import { writeResult } from './result.ts';
import { median } from './statistics.ts';
import { table } from './table.ts';

const interfaces = enterOwnNamespace(import.meta.filename, process.argv.slice(2));
const rounds = Number(process.argv[2] ?? '15');
const sizes = [10, 10_000, 1_000_000] as const;
const repeats = 20_000;
const others = 500;
const [clientLink, serverLink] = interfaces as readonly [Ifindex, Ifindex];
const client = ipAddress('10.0.0.1');
const server = ipAddress('10.1.0.1');
const clientIdentity = 2000;
const tcp = 6;
const ack = 0x10;
const flagsAt = 14 + 20 + 13;

mountBpffs();
const worlds = sizes.map(openWorld);
const kinds = ['established, same', 'established, any', 'new, same', 'denied, same', 'guard, same'] as const;
type Kind = (typeof kinds)[number];
const costs = new Map<string, number[]>();
try {
  for (let round = 0; round < rounds; round += 1) {
    for (const world of worlds) {
      for (const kind of kinds) {
        const key = `${kind} ${world.size}`;
        costs.set(key, [...(costs.get(key) ?? []), world.measure(kind)]);
      }
    }
  }
} finally {
  for (const world of worlds) world.close();
}

const of = (kind: Kind, size: number): readonly number[] => costs.get(`${kind} ${size}`) ?? [];
/** Within each round, so that what slows the machine slows both. */
const ratio = (kind: Kind): readonly number[] =>
  of(kind, sizes[2]).map((cost, round) => cost / (of(kind, sizes[0])[round] ?? Number.NaN));
const show = (values: readonly number[], digits = 0): string => {
  const { median: middle, low, high } = median(values);
  return `${middle.toFixed(digits)} [${low.toFixed(digits)}, ${high.toFixed(digits)}]`;
};
console.log(`ns a packet, ${rounds} rounds; median [95 % interval]`);
console.log(
  table([
    ['packet', ...sizes.map((size) => `${size} entries`), 'most of least'],
    ...kinds.map((kind) => [kind, ...sizes.map((size) => show(of(kind, size))), show(ratio(kind), 2)]),
  ]),
);
writeResult(
  'packet-cost',
  Object.fromEntries(
    kinds.flatMap((kind) => [
      [
        `${kind} at ${sizes[2]}`,
        { value: median(of(kind, sizes[2])).median, unit: 'ns', better: 'lower' },
      ] as const,
      [
        `${kind}, ${sizes[2]} of ${sizes[0]}`,
        { value: median(ratio(kind)).median, unit: 'ratio', better: 'lower' },
      ] as const,
    ]),
  ),
);

interface World {
  readonly size: number;
  measure(kind: Kind): number;
  close(): void;
}

/** An instance whose policy has that many peers, and whose table that many connections. */
function openWorld(size: number): World {
  const options = { instance: `packetcost${size}`, marks, bpffs };
  const datapath = openDatapath({
    ...options,
    capacity: { policyPeers: size + 64, policyTables: 64, ipcache: 4096, endpoints: 64, connections: 64 },
  });
  const { maps } = datapath;
  const entry: TableKey = { table: tableNumber(1), protocol: tcp, port: 80, portPrefixLength: 16 };
  const lengths = lengthsOf([entry]);
  const enforced = generation(2);
  maps.policyTables.set(entry, { kind: 'allow' });
  maps.policyPeers.setBatch(
    (function* peers() {
      for (let peer = 0; peer < size; peer += 1) {
        yield [
          { generation: enforced, identity: identityNumber(clientIdentity + peer) },
          { table: entry.table, lengths },
        ] as const;
      }
    })(),
  );
  for (const [address, link, number, ingress] of [
    [client, clientLink, 1, openGeneration],
    [server, serverLink, 2, enforced],
  ] as const) {
    const endpoint = {
      identity: identityNumber(clientIdentity + number - 1),
      subject: subjectNumber(number),
    };
    maps.subjects.set(endpoint.subject, { ingress, egress: openGeneration });
    maps.localAddresses.set(address, { ...endpoint, ifindex: link });
    maps.workloadPrefixes.set(ipPrefix(`${address}/24`), true);
    maps.ipcache.set(ipPrefix(address), endpoint.identity);
    maps.endpoints.set(link, endpoint);
  }
  // It runs the guard where workload prefixes are known.
  const runner = openPacketRunner({ ...options, connections: Math.ceil(size * 1.5) + 1024, events: false });
  const place: PacketPlace = { hook: 'from-workload', ifindex: clientLink, cameThrough: clientLink };
  for (let connection = 0; connection < size; connection += 1)
    runner.run(openingPacket(endsOf(connection)), place);
  return {
    size,
    measure: (kind) => measure(runner, place, size, kind),
    close() {
      runner.close();
      datapath.remove();
    },
  };
}

function measure(runner: PacketRunner, place: PacketPlace, size: number, kind: Kind): number {
  switch (kind) {
    case 'established, same':
      return runner.run(segment(endsOf(0)), place, repeats).durationNs;
    case 'established, any': {
      const durations = Array.from({ length: others }, (_, index) => {
        const connection = (index * 7919 + Math.floor(Math.random() * size)) % size;
        return runner.run(segment(endsOf(connection)), place).durationNs;
      });
      return durations.sort((left, right) => left - right)[Math.floor(others / 2)] ?? Number.NaN;
    }
    case 'new, same':
      return runner.run(openingPacket(endsOf(0)), place, repeats).durationNs;
    case 'denied, same':
      return runner.run(openingPacket(endsOf(0, 81)), place, repeats).durationNs;
    case 'guard, same':
      return runner.run(openingPacket(endsOf(0)), { ...place, hook: 'guard' }, repeats).durationNs;
  }
}

/** The first 60,000 go to the server, whose policy allows the client; the others to the rest of the world. */
function endsOf(connection: number, port = 80): ConnectionEnds {
  return {
    protocol: tcp,
    source: { address: client, port: 1024 + (connection % 60_000) },
    destination: {
      address: connection < 60_000 ? server : ipAddress(`10.2.0.${Math.floor(connection / 60_000)}`),
      port,
    },
  };
}

function segment(ends: ConnectionEnds): Uint8Array {
  const packet = openingPacket(ends);
  packet[flagsAt] = ack;
  return packet;
}
