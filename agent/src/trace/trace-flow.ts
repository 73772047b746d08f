import {
  type ConnectionEnds,
  type ConnectionTrace,
  type DatapathView,
  ifindex,
  ipAddress,
  lookUpPolicy,
  type PacketRunner,
  type SideOfPolicy,
  traceConnection,
} from '@weir/bpf';
import type { Flow, PeerRef } from '@weir/l7-policy';
import type { WorkloadStatus } from '../api/api-types.ts';
import type { QueryExplanation } from '../explain/explain-query.ts';
import type { Link } from '../network/links.ts';

/** One end of a traced connection, as the kernel knows it. */
export interface TraceEnd {
  readonly address: string;
  readonly port: number;
  /** Name of the workload, when the agent said so. */
  readonly workload: string | null;
}

/** What the kernel would do with a new connection. */
export interface Trace {
  readonly protocol: number;
  readonly source: TraceEnd;
  readonly destination: TraceEnd;
  readonly verdict: ConnectionTrace['verdict'];
  readonly steps: readonly TraceStepRow[];
  /** The entries of the policy maps that decide, and under which generation. */
  readonly sides: readonly SideOfPolicy[];
  /** What the policies say of it and where; null when no agent answers, or it cannot tell. */
  readonly policy: QueryExplanation | null;
}

/** What one program did. */
export interface TraceStepRow {
  readonly hook: string;
  readonly interface: string;
  readonly action: string;
}

/** What a trace looks at. */
export interface TraceParts {
  readonly view: DatapathView;
  readonly runner: PacketRunner;
  /** Null when no agent answers: ends must be addresses then. */
  readonly workloads: readonly Pick<WorkloadStatus, 'name' | 'addresses'>[] | null;
  readonly explanation: QueryExplanation | null;
  readonly links: readonly Link[];
  /** Names of the interfaces to the rest of the world. */
  readonly uplinks: readonly string[];
}

/** Throws an Error for the user when an end cannot be understood. */
export function traceFlow(
  flow: Pick<Flow, 'from' | 'to' | 'protocol' | 'port'> & { readonly sourcePort: number },
  { view, runner, workloads, explanation, links, uplinks }: TraceParts,
): Trace {
  const from = candidates('--from', flow.from, workloads);
  const to = candidates('--to', flow.to, workloads);
  const pairs = from.flatMap((left) => to.map((right) => [left, right] as const));
  const pair = pairs.find(([left, right]) => isV6(left.address) === isV6(right.address));
  if (pair === undefined) throw new Error('the two ends have no addresses of one family');
  const [left, right] = pair;
  const uplink = links.find(({ name }) => uplinks.includes(name));
  const ends: ConnectionEnds = {
    protocol: flow.protocol,
    source: { address: ipAddress(left.address), port: flow.sourcePort },
    destination: { address: ipAddress(right.address), port: flow.port },
  };
  const { maps } = view;
  const { verdict, steps } = traceConnection(runner, ends, {
    maps,
    ...(uplink === undefined ? {} : { uplink: ifindex(uplink.ifindex) }),
  });
  return {
    protocol: flow.protocol,
    source: { ...left, port: flow.sourcePort },
    destination: { ...right, port: flow.port },
    verdict,
    steps: steps.map(({ hook, ifindex: number, action }) => ({
      hook,
      interface: links.find((link) => link.ifindex === number)?.name ?? String(number),
      action,
    })),
    sides: lookUpPolicy(maps, ends),
    policy: explanation,
  };
}

type Candidate = Omit<TraceEnd, 'port'>;

function candidates(option: string, peer: PeerRef, workloads: TraceParts['workloads']): readonly Candidate[] {
  if (peer.kind === 'address') {
    const address = ipAddress(peer.address);
    const found = workloads?.find(({ addresses }) => addresses.some((own) => ipAddress(own) === address));
    return [{ address, workload: found?.name ?? null }];
  }
  if (peer.kind !== 'endpoint') throw new Error(`${option} must be a workload or an address`);
  if (workloads === null)
    throw new Error(`${option} ${peer.id}: no agent answers that knows its addresses; give an address`);
  const found = workloads.find(({ name }) => name === peer.id);
  if (found === undefined) throw new Error(`${option} ${peer.id}: no workload of this node is called so`);
  return found.addresses.map((address) => ({ address, workload: found.name }));
}

function isV6(address: string): boolean {
  return address.includes(':');
}
