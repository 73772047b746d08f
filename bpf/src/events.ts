import type { FlowEnd, PolicyDirection } from './datapath-maps.ts';
import { codes, layouts } from './layouts.ts';
import {
  type IdentityNumber,
  type Ifindex,
  identityNumber,
  ifindex,
  type ProxyPort,
  proxyPort,
  type SetNumber,
  setNumber,
} from './numbers.ts';
import { type DropReason, dropReason } from './reasons.ts';

/** Where a packet was seen: coming from a workload, about to reach one, coming from the rest of the world, or on the node itself. */
export type Hook = keyof typeof codes.hook;

/** What every event tells: which packet, where, when. */
export interface EventFlow {
  /** Nanoseconds of CLOCK_MONOTONIC. */
  readonly timestampNs: bigint;
  readonly ifindex: Ifindex;
  readonly hook: Hook;
  /** IANA number. */
  readonly protocol: number;
  readonly source: FlowEnd & { readonly identity: IdentityNumber };
  readonly destination: FlowEnd & { readonly identity: IdentityNumber };
}

/** What the programs report through the ring buffer. */
export type DatapathEvent = EventFlow &
  (
    | {
        readonly kind: 'drop';
        readonly reason: DropReason;
        /** The direction that denied; the packet's own where no policy was asked. */
        readonly direction: PolicyDirection;
        readonly egressSet: SetNumber;
        readonly ingressSet: SetNumber;
        /** Drops of the same interface, identities, port and reason that were not told since the last one that was. */
        readonly untold: number;
        /** Where the connection would have gone, had that been possible. */
        readonly proxyPort: ProxyPort | undefined;
      }
    | { readonly kind: 'allow' }
    | {
        readonly kind: 'redirect';
        readonly egressSet: SetNumber;
        readonly ingressSet: SetNumber;
        readonly proxyPort: ProxyPort;
      }
  );

/** A running consumer of the ring buffer. It keeps the process alive only until it is closed. */
export interface EventStream {
  /** Stops; after the promise no listener is called. Closing twice is the same as once. */
  close(): Promise<void>;
}

const hookNames: readonly Hook[] = ['from-workload', 'to-workload', 'from-network', 'guard'];

/** Decodes what the ring buffer hands over: records of a length, padding to 8 bytes, and that many bytes. */
export function decodeEvents(records: Uint8Array): readonly DatapathEvent[] {
  const view = new DataView(records.buffer, records.byteOffset, records.byteLength);
  const events: DatapathEvent[] = [];
  for (let at = 0; at < records.byteLength; ) {
    const bytes = view.getUint32(at, true);
    if (bytes === layouts.event.bytes) events.push(decodeEvent(view, at + 8));
    at += 8 + Math.ceil(bytes / 8) * 8;
  }
  return events;
}

function decodeEvent(view: DataView, at: number): DatapathEvent {
  const raw = layouts.event.read(view, at);
  const flow: EventFlow = {
    timestampNs: raw.timestamp_ns,
    ifindex: ifindex(raw.ifindex),
    hook: hookNames[raw.hook] ?? 'from-workload',
    protocol: raw.protocol,
    source: {
      address: raw.source,
      port: raw.source_port,
      identity: identityNumber(raw.source_identity),
    },
    destination: {
      address: raw.destination,
      port: raw.destination_port,
      identity: identityNumber(raw.destination_identity),
    },
  };
  const sets = { egressSet: setNumber(raw.egress_set), ingressSet: setNumber(raw.ingress_set) };
  switch (raw.kind) {
    case codes.event.allow:
      return { ...flow, kind: 'allow' };
    case codes.event.redirect:
      return { ...flow, kind: 'redirect', ...sets, proxyPort: proxyPort(raw.proxy_port) };
    default:
      return {
        ...flow,
        kind: 'drop',
        reason: dropReason(raw.reason),
        direction: raw.direction === codes.direction.egress ? 'egress' : 'ingress',
        ...sets,
        untold: raw.untold,
        proxyPort: raw.proxy_port === 0 ? undefined : proxyPort(raw.proxy_port),
      };
  }
}
