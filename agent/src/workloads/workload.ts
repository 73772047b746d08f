import type { DenyAction } from '@weir/bpf';

/** A workload of this node, as its owner describes it. */
export interface Workload {
  /** Unique on the node; `[a-z0-9]([-a-z0-9._]*[a-z0-9])?`, at most 63 characters. */
  readonly name: string;
  /** The policy namespace, `default` when left out. */
  readonly namespace: string;
  /** Labels with or without a source prefix; without one they count as `k8s:`. */
  readonly labels: Readonly<Record<string, string>>;
  /** The host-side interface: named, or found as the peer of the link in a network namespace. */
  readonly attachment:
    | { readonly kind: 'interface'; readonly name: string }
    | { readonly kind: 'netns'; readonly netns: string; readonly link: string };
  /** IPv4 and IPv6 addresses in their shortest form, at least one. */
  readonly addresses: readonly string[];
  /** Port names, for policies that use them: name to port and protocol. */
  readonly namedPorts: Readonly<Record<string, NamedPort>>;
  /** What connections hear that its policy refuses; left out: what the agent says. */
  readonly denyAction?: DenyAction;
}

export interface NamedPort {
  readonly port: number;
  readonly protocol: 'TCP' | 'UDP' | 'SCTP';
}
