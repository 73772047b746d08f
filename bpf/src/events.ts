import type { FlowEnd, PolicyDirection } from './datapath-maps.ts';
import type { IdentityNumber, Ifindex, ProxyPort, SetNumber } from './numbers.ts';
import type { DropReason } from './reasons.ts';

/** What every event tells: which packet, where, when. */
export interface EventFlow {
  /** Nanoseconds of CLOCK_MONOTONIC. */
  readonly timestampNs: bigint;
  readonly ifindex: Ifindex;
  readonly hook: 'from-workload' | 'to-workload';
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
