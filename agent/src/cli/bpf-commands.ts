import {
  type Connection,
  type DatapathView,
  type Outcome,
  openDatapathView,
  type PolicyEntry,
  policyEntries,
} from '@weir/bpf';
import { Command } from 'commander';
import { endText, protocolName } from '../flows/protocol-name.ts';
import { listLinks } from '../network/links.ts';
import { runIp } from '../network/run-ip.ts';
import { DEFAULT_BPFFS } from '../options.ts';
import { globalOptions, print } from './global-options.ts';
import { showEntryVerdict, showPeer, showPorts } from './show-entry.ts';
import { table } from './table.ts';

/** `weir bpf … list`: what the instance has in the kernel, with or without its agent. */
export function bpfCommands(): Command {
  return new Command('bpf')
    .description('what stands in the kernel; needs no agent')
    .addCommand(listing('policy', 'entries of the policies in force', policies, showPolicies))
    .addCommand(listing('ct', 'connections', connections, showConnections))
    .addCommand(listing('ipcache', 'address prefixes and whose they are', ipcache, showIpcache))
    .addCommand(listing('outcomes', 'what became of packets, for each workload', outcomes, showOutcomes));
}

/** `weir bpf NAME list`, which reads rows and prints them as JSON or as a table. */
function listing<Row>(
  name: string,
  what: string,
  read: (view: DatapathView) => Promise<readonly Row[]> | readonly Row[],
  show: (rows: readonly Row[]) => readonly (readonly string[])[],
): Command {
  const list = new Command('list')
    .description(what)
    .option('--bpffs <dir>', 'as given to the agent', DEFAULT_BPFFS)
    .action(async ({ bpffs }: { readonly bpffs: string }, command: Command) => {
      const options = globalOptions(command);
      const view = openDatapathView({ bpffs, instance: options.instance });
      try {
        print(options, await read(view), (rows) => table(show(rows)));
      } finally {
        view.close();
      }
    });
  return new Command(name).description(what).addCommand(list);
}

interface PolicyRow extends PolicyEntry {
  readonly generation: number;
  /** Directions of workloads, by their addresses, that the entry counts for. */
  readonly of: readonly string[];
}

function policies({ maps }: DatapathView): readonly PolicyRow[] {
  const addresses = Map.groupBy(maps.localAddresses.entries(), ([, { subject }]) => subject);
  const users = new Map<number, string[]>();
  for (const [subject, { ingress, egress }] of maps.subjects.entries()) {
    const who = (addresses.get(subject) ?? []).map(([address]) => address).join(',');
    users.set(ingress, [...(users.get(ingress) ?? []), `ingress ${who}`]);
    users.set(egress, [...(users.get(egress) ?? []), `egress ${who}`]);
  }
  return [...policyEntries(maps)].map((entry) => ({ ...entry, of: users.get(entry.generation) ?? [] }));
}

function showPolicies(rows: readonly PolicyRow[]): readonly (readonly string[])[] {
  return [
    ['GENERATION', 'OF', 'PEER', 'PORTS', 'VERDICT'],
    ...rows.map((row) => [
      String(row.generation),
      row.of.join('; '),
      showPeer(row.peer),
      showPorts(row),
      showEntryVerdict(row.verdict),
    ]),
  ];
}

interface ConnectionRow extends Omit<Connection, 'lastSeenNs'> {
  readonly idleMs: number;
}

function connections(view: DatapathView): readonly ConnectionRow[] {
  const nowNs = process.hrtime.bigint();
  return [...view.connections()].map(({ lastSeenNs, ...connection }) => ({
    ...connection,
    idleMs: Math.max(0, Number((nowNs - lastSeenNs) / 1_000_000n)),
  }));
}

function showConnections(rows: readonly ConnectionRow[]): readonly (readonly string[])[] {
  return [
    ['PROTOCOL', 'SOURCE', 'IDENTITY', 'DESTINATION', 'IDENTITY', 'VIA', 'GENERATIONS', 'IDLE'],
    ...rows.map(({ protocol, source, destination, proxyPort, leg, idleMs }) => [
      protocolName(protocol),
      endText(source),
      String(source.identity),
      endText(destination),
      String(destination.identity),
      leg ? 'from the proxy' : proxyPort === undefined ? '-' : `proxy port ${proxyPort}`,
      `${source.generation}, ${destination.generation}`,
      `${Math.floor(idleMs / 1000)} s`,
    ]),
  ];
}

interface PrefixRow {
  readonly prefix: string;
  readonly identity: number;
}

function ipcache(view: DatapathView): readonly PrefixRow[] {
  return [...view.maps.ipcache.entries()].map(([{ address, length }, identity]) => ({
    prefix: `${address}/${length}`,
    identity,
  }));
}

function showIpcache(rows: readonly PrefixRow[]): readonly (readonly string[])[] {
  return [['PREFIX', 'IDENTITY'], ...rows.map(({ prefix, identity }) => [prefix, String(identity)])];
}

interface OutcomeRow extends Omit<Outcome, 'packets'> {
  /** Name of the workload's interface; null when it is not in this network namespace. */
  readonly interface: string | null;
  readonly addresses: readonly string[];
  readonly packets: number;
}

async function outcomes(view: DatapathView): Promise<readonly OutcomeRow[]> {
  const links = new Map((await listLinks(runIp)).map(({ ifindex, name }) => [ifindex, name]));
  const addresses = Map.groupBy(view.maps.localAddresses.entries(), ([, { ifindex }]) => ifindex);
  return view.outcomes().map((outcome) => ({
    ...outcome,
    interface: links.get(outcome.ifindex) ?? null,
    addresses: (addresses.get(outcome.ifindex) ?? []).map(([address]) => address),
    packets: Number(outcome.packets),
  }));
}

function showOutcomes(rows: readonly OutcomeRow[]): readonly (readonly string[])[] {
  return [
    ['INTERFACE', 'ADDRESSES', 'DIRECTION', 'OUTCOME', 'PACKETS'],
    ...rows.map((row) => [
      row.interface ?? String(row.ifindex),
      row.addresses.join(','),
      row.direction,
      row.reason,
      String(row.packets),
    ]),
  ];
}
