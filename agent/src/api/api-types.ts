import type { AccelerationState } from '@weir/bpf';
import type { Problem } from '@weir/l7-policy';
import type { MapUsage } from '@weir/redirect';
import type { Workload } from '../workloads/workload.ts';

/** What `GET /v1/status` answers. */
export interface Status {
  readonly instance: string;
  readonly version: string;
  readonly pid: number;
  readonly startedAt: string;
  /** True when every part does what it should. */
  readonly healthy: boolean;
  readonly envoy: EnvoyStatus;
  readonly datapath: DatapathStatus;
  readonly workloads: readonly WorkloadStatus[];
  readonly policies: PolicyStatus;
  readonly classes: readonly ClassStatus[];
  readonly flows: FlowStatus;
}

/** What was seen of connections and requests since the agent's start. */
export interface FlowStatus {
  readonly total: number;
  readonly accessLogUndecoded: number;
  /** Requests that Envoy could not log, since its start; null while it does not answer. */
  readonly accessLogDropped: number | null;
}

/** A rule that the proxy enforces. */
export interface RuleStatus {
  readonly rule: string;
  /** Where it stands, `file:line`. */
  readonly places: readonly string[];
  /** Requests that it let through since the agent's start. */
  readonly requests: number;
}

/** The proxy, as the agent sees it. */
export interface EnvoyStatus {
  readonly state: string;
  readonly pid: number | null;
  /** Its xDS stream is there. */
  readonly connected: boolean;
}

/** The kernel side. */
export interface DatapathStatus {
  /** Maps of an earlier agent were adopted. */
  readonly adopted: boolean;
  /** Packets and connections by outcome, since the maps were made. */
  readonly counters: Readonly<Record<string, number>>;
  /** Whether proxied connections go around TCP inside the node; when not, why. */
  readonly acceleration: AccelerationState;
  /** Sockets and messages that did, and why others did not. */
  readonly accelerationCounters: Readonly<Record<string, number>>;
  /** Turns of the controller, and why the last one was given up. */
  readonly turns: number;
  readonly failure: string | null;
  /** How full the policy maps are. */
  readonly maps: readonly MapUsage[];
  /** What keeps its last version: sentences. */
  readonly held: readonly string[];
}

/** One workload of this node. */
export interface WorkloadStatus {
  readonly name: string;
  readonly namespace: string;
  readonly origin: 'file' | 'api';
  readonly addresses: readonly string[];
  readonly identity: number | null;
  /** Host-side interface; null while it is missing. */
  readonly ifindex: number | null;
  readonly protected: boolean;
  /** Which directions are in default deny. */
  readonly enforced: { readonly ingress: boolean; readonly egress: boolean };
  /** Packets dropped, and connections allowed and redirected, at its interface, since it was attached. */
  readonly outcomes: readonly WorkloadOutcome[];
}

/** What became of packets of a workload. */
export interface WorkloadOutcome {
  readonly direction: 'ingress' | 'egress';
  /** A drop's reason, `allowed` or `redirected`. */
  readonly reason: string;
  readonly packets: number;
}

/** The policy documents. */
export interface PolicyStatus {
  readonly directory: string;
  readonly files: number;
  readonly problems: readonly Problem[];
}

/** One listener of the proxy. */
export interface ClassStatus {
  readonly id: string;
  readonly port: number;
  readonly state: 'ready' | 'waiting' | 'refused' | 'not-served';
  /** Where its rules stand, `file:line`. */
  readonly places: readonly string[];
  readonly problem: string | null;
}

/** What the API answers to everything it cannot do. */
export interface ApiError {
  readonly error: string;
}

/** Body of `PUT /v1/endpoints`. */
export type EndpointBody = Workload;
