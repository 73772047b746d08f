import type { DenyAction } from '@weir/bpf';
import type {
  ClassId,
  DirectionChange,
  DirectionId,
  DirectionPolicy,
  Identity,
  L7Class,
  L7Set,
  L7SetId,
  SubjectKey,
  SubjectPolicy,
} from '@weir/l7-policy';

/** A workload of this node, resolved to what the kernel needs to know of it. */
export interface DesiredEndpoint {
  readonly name: string;
  /** Host-side interface in the datapath's network namespace. */
  readonly ifindex: number;
  /** IPv4 and IPv6 addresses that the workload owns. */
  readonly addresses: readonly string[];
  readonly identity: Identity;
  readonly subject: SubjectKey;
  /** What connections hear that its policy refuses. */
  readonly denyAction: DenyAction;
}

/** All that the kernel should enforce. Values are immutable: an unchanged part is the same object. */
export interface DesiredState {
  readonly endpoints: readonly DesiredEndpoint[];
  /** Interfaces to the rest of the world, which proxied connections cross. */
  readonly uplinks: readonly number[];
  /** Where only workloads of this node have addresses: an address there that no endpoint has is refused. */
  readonly workloadPrefixes: readonly string[];
  /** The policy of every subject that an endpoint names. */
  readonly subjects: ReadonlyMap<SubjectKey, SubjectPolicy>;
  /** Every direction policy that a subject names. */
  readonly directions: ReadonlyMap<DirectionId, DirectionPolicy>;
  /** Changes that led to the present versions, oldest first: where they are known, nothing else is compared. */
  readonly steps: ReadonlyMap<DirectionId, readonly DirectionChange[]>;
  /** Address prefixes beyond the endpoints' own. */
  readonly ipcache: ReadonlyMap<string, Identity>;
  readonly sets: ReadonlyMap<L7SetId, L7Set>;
  /** Every class that can occur on the node and that the proxy can serve. */
  readonly classes: ReadonlyMap<ClassId, L7Class>;
  /** Those of them whose listener has been acknowledged and listens. */
  readonly ready: ReadonlySet<ClassId>;
}
