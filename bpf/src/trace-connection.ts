import type { IpAddress } from './address.ts';
import type { DatapathMaps, PolicyDirection } from './datapath-maps.ts';
import type { DatapathEvent, Hook } from './events.ts';
import { hostIdentity, type IdentityNumber, type Ifindex, ifindex, type ProxyPort } from './numbers.ts';
import { type ConnectionEnds, openingPacket } from './opening-packet.ts';
import type { PacketPlace, PacketRun, PacketRunner } from './packet-runner.ts';
import type { DropReason } from './reasons.ts';

/** What one program did on the way. */
export interface TraceStep {
  readonly hook: Hook;
  readonly ifindex: Ifindex;
  readonly action: PacketRun['action'];
  /** What it told, if anything. */
  readonly event: DatapathEvent | undefined;
}

/** What would become of the connection. */
export type TraceVerdict =
  | { readonly kind: 'allowed' }
  | { readonly kind: 'redirected'; readonly proxyPort: ProxyPort }
  | {
      readonly kind: 'denied';
      readonly reason: DropReason;
      readonly direction: PolicyDirection;
      /** Where it would have gone, had that been possible. */
      readonly proxyPort: ProxyPort | undefined;
    }
  /** Neither end is a workload of this node, nor a stranger where workloads live: no program minds it. */
  | { readonly kind: 'not-judged' };

/** A connection's way through the programs. */
export interface ConnectionTrace {
  readonly steps: readonly TraceStep[];
  readonly verdict: TraceVerdict;
}

/** Where things are, for a packet that does not say. */
export interface TraceSurroundings {
  readonly maps: Pick<DatapathMaps, 'localAddresses' | 'ipcache'>;
  /** An interface to the rest of the world. */
  readonly uplink?: Ifindex;
}

const loopback = ifindex(1);

/**
 * Runs the programs on the packet that opens a connection, hook after hook, as the kernel would meet them. The node's
 * routing is not asked: what is addressed to a workload here goes to its interface. A destination that the host
 * translates must be given translated.
 */
export function traceConnection(
  runner: PacketRunner,
  ends: ConnectionEnds,
  { maps, uplink }: TraceSurroundings,
): ConnectionTrace {
  const steps: TraceStep[] = [];
  let packet = openingPacket(ends);
  let mark = 0;
  const run = (place: PacketPlace): PacketRun => {
    const done = runner.run(packet, { ...place, mark });
    ({ packet, mark } = done);
    steps.push({ hook: place.hook, ifindex: place.ifindex, action: done.action, event: done.events.at(-1) });
    return done;
  };
  const verdict = (): TraceVerdict => verdictOf(steps);

  const source = maps.localAddresses.get(ends.source.address);
  const destination = maps.localAddresses.get(ends.destination.address);
  let cameThrough: Ifindex | undefined;
  if (source !== undefined) {
    cameThrough = source.ifindex;
    const { action } = run({ hook: 'from-workload', ifindex: source.ifindex, cameThrough });
    if (action === 'drop' || steps.at(-1)?.event?.kind === 'redirect') return { steps, verdict: verdict() };
  } else if (identityOf(maps, ends.source.address) !== hostIdentity) {
    cameThrough = uplink ?? loopback;
    if (uplink !== undefined) {
      const { action } = run({ hook: 'from-network', ifindex: uplink, cameThrough });
      if (action === 'drop') return { steps, verdict: verdict() };
    }
  }
  if (destination !== undefined) {
    const place: PacketPlace = {
      hook: 'to-workload',
      ifindex: destination.ifindex,
      ...(cameThrough === undefined ? {} : { cameThrough }),
    };
    if (run(place).action === 'round') run({ ...place, hook: 'from-workload' });
  }
  if (source !== undefined || destination !== undefined) return { steps, verdict: verdict() };
  const { action } = run({ hook: 'guard', ifindex: cameThrough ?? loopback });
  return { steps, verdict: action === 'drop' ? verdict() : { kind: 'not-judged' } };
}

function verdictOf(steps: readonly TraceStep[]): TraceVerdict {
  for (const { event, action, hook } of steps) {
    if (event?.kind === 'redirect') return { kind: 'redirected', proxyPort: event.proxyPort };
    if (action !== 'drop') continue;
    if (event?.kind !== 'drop') throw new Error(`${hook} dropped a packet and told no reason`);
    const { reason, direction, proxyPort } = event;
    return { kind: 'denied', reason, direction, proxyPort };
  }
  return { kind: 'allowed' };
}

/** Undefined when no prefix of the ipcache holds the address. */
function identityOf({ ipcache }: TraceSurroundings['maps'], address: IpAddress): IdentityNumber | undefined {
  return ipcache.get({ address, length: address.includes(':') ? 128 : 32 });
}
