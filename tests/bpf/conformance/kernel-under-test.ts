// An engine's policies in the real maps, written by the real reconcile, and the real programs' verdict on the packet
// that opens a connection.

import {
  type ConnectionEnds,
  type Datapath,
  type DropReason,
  type Ifindex,
  ipAddress,
  openDatapath,
  openPacketRunner,
  type TraceVerdict,
  traceConnection,
} from '@weir/bpf';
import { servedKinds } from '@weir/envoy-config';
import type { EndpointState, Engine, EngineState, Explanation, Identity } from '@weir/l7-policy';
import { type DesiredState, openRedirector } from '@weir/redirect';
import { runName } from '../../run-name.ts';
import { bpffs, marks, mountBpffs } from '../lab.ts';

/** The programs, over the maps of an instance of its own. */
export interface KernelUnderTest {
  readonly instance: string;
  readonly datapath: Datapath;
  /** Puts an engine's state in force, with these endpoints on this node and the others elsewhere. */
  enforce(engine: Engine, local: ReadonlySet<string>, addresses: Addresses): void;
  verdict(ends: ConnectionEnds): TraceVerdict;
  close(): void;
}

/** Addresses of identities that no endpoint of the engine has. */
export type Addresses = ReadonlyMap<string, Identity>;

/** `interfaces` are given to endpoints in turn; they need not lead anywhere. */
export function openKernelUnderTest(interfaces: readonly Ifindex[]): KernelUnderTest {
  mountBpffs();
  const options = { instance: runName('conformance'), marks, bpffs };
  const datapath = openDatapath({
    ...options,
    capacity: { policyPeers: 65536, policyTables: 65536, ipcache: 4096, endpoints: 64, connections: 4096 },
  });
  const runner = openPacketRunner(options);
  // Packets are given to the programs, so none stands on an interface: to put them there would take most of the time.
  const redirector = openRedirector(
    { ...datapath, attach: () => undefined, detach: () => false, attached: () => [] },
    { load: () => undefined, save: () => undefined },
    { first: 20_000, last: 29_999 },
  );
  const uplink = interfaces.at(-1);

  return {
    instance: options.instance,
    datapath,
    enforce(engine, local, addresses) {
      redirector.apply(desiredState(engine.state(), local, addresses, interfaces));
    },
    verdict(ends) {
      runner.forget();
      return traceConnection(runner, ends, {
        maps: datapath.maps,
        ...(uplink === undefined ? {} : { uplink }),
      }).verdict;
    },
    close() {
      runner.close();
      datapath.remove();
    },
  };
}

function desiredState(
  state: EngineState,
  local: ReadonlySet<string>,
  addresses: Addresses,
  interfaces: readonly Ifindex[],
): DesiredState {
  const here = [...state.endpoints.values()].filter(({ id }) => local.has(id));
  const classes = new Map([...state.classes].filter(([, { kind }]) => servedKinds.has(kind)));
  return {
    endpoints: here.map((endpoint, index) => ({
      name: endpoint.id,
      ifindex: interfaces[index]!,
      identity: endpoint.identity,
      subject: endpoint.subject,
      addresses: endpoint.addresses,
      denyAction: 'drop',
    })),
    uplinks: [],
    workloadPrefixes: [],
    subjects: state.subjects,
    directions: state.directions,
    steps: new Map(),
    ipcache: new Map([...state.ipcache, ...prefixesOf(state.endpoints.values()), ...addresses]),
    sets: state.sets,
    classes,
    ready: new Set(classes.keys()),
  };
}

function prefixesOf(endpoints: Iterable<EndpointState>): readonly (readonly [string, Identity])[] {
  return [...endpoints].flatMap(({ addresses, identity }) =>
    addresses.map((address) => [fullPrefix(address), identity] as const),
  );
}

export function fullPrefix(address: string): string {
  return `${address}/${address.includes(':') ? 128 : 32}`;
}

/** What the kernel must say where the engine says that. */
export function expectedOf({ verdict, classId }: Explanation, state: EngineState): string {
  if (verdict !== 'redirected') return verdict;
  // Decision 10: what no proxy serves is denied.
  const kind = classId === null ? undefined : state.classes.get(classId)?.kind;
  return kind !== undefined && servedKinds.has(kind) ? 'redirected' : 'l7-unavailable';
}

/** Denied by policy; the last two are ICMP answers and errors that belong to no connection. */
const refusals: ReadonlySet<DropReason> = new Set([
  'policy-deny',
  'policy-default-deny',
  'no-connection',
  'malformed',
]);

/** The kernel's verdict in the same words; what policy has no part in keeps its reason. */
export function wordOf(verdict: TraceVerdict): string {
  if (verdict.kind !== 'denied') return verdict.kind;
  if (refusals.has(verdict.reason)) return 'denied';
  // No Envoy runs here: the listener of the class is looked for, and missing.
  return verdict.reason === 'proxy-missing' ? 'redirected' : verdict.reason;
}

export function endsOf(
  protocol: number,
  from: string,
  to: string,
  port: number,
  sourcePort = 40_000,
): ConnectionEnds {
  return {
    protocol,
    source: { address: ipAddress(from), port: sourcePort },
    destination: { address: ipAddress(to), port },
  };
}
