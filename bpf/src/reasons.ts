/**
 * Every outcome the programs count, by the number that stands in `enum weir_reason` of lib/shared.h; a test
 * compares the two through BTF. Drops are named in words a user meets in `weir monitor`.
 */
export const reasons = Object.freeze({
  /** A new connection was allowed on L3/L4. */
  allowed: 0,
  /** A new connection was handed to its class's listener. */
  redirected: 1,
  /** A living connection met a newer policy and may go on. */
  rejudged: 2,
  /** Events that were not told: enough of their like were, or the ring buffer was full. Packets were treated as ever. */
  'event-lost': 3,
  /** A reset was sent to one end of a connection that lost its permission. */
  'reset-sent': 4,
  /** An ICMP error was sent to the sender of a datagram that was refused, or whose flow lost its permission. */
  'unreachable-sent': 5,
  /** An entry says deny. */
  'policy-deny': 16,
  /** The direction is enforced and no entry matches. */
  'policy-default-deny': 17,
  /** A living connection that the policy in force no longer permits. */
  'permission-lost': 18,
  /** A living connection that would now have to pass through another proxy class than it does. */
  'proxy-required': 19,
  /** The source address does not belong to the workload that sent the packet. */
  'source-not-owned': 20,
  /** L7 is asked for and no proxy serves this pair of sets, this protocol or this path into the node. */
  'l7-unavailable': 21,
  /** The class's listener is gone (Envoy is down): redirected connections are refused. */
  'proxy-missing': 22,
  /** Somebody who is not the proxy listens on the class's port. */
  'proxy-foreign': 23,
  /** Neither IPv4, IPv6 nor ARP. */
  'family-unsupported': 24,
  /** Headers that cannot be parsed. */
  malformed: 25,
  /** A later fragment of a packet whose ports nobody has judged. */
  'fragment-unknown': 26,
  /** The interface or the address has no endpoint entry, or its subject no policy version. */
  'endpoint-unknown': 27,
  /** The connection cannot be remembered because the table refused it. */
  'conntrack-refused': 28,
  /** A SYN-ACK, RST or ICMP error that belongs to no connection. */
  'no-connection': 29,
  /** A packet that claims to come from the proxy or belongs to a proxied leg whose socket is gone. */
  'proxy-leg-unknown': 30,
  /** An IPv4 option or IPv6 routing header names a way: the address that was judged is not where it leads. */
  'source-routed': 31,
  /** Neighbour discovery that its sender may not send (a workload is no router), or that has been forwarded. */
  'neighbour-refused': 32,
  /** One end is an address of this node's workloads (--workload-cidr) that nobody has announced. */
  'workload-unknown': 33,
  /** The proxy has a connection with these addresses and ports, which is reset: the SYN passes when it comes again. */
  'port-in-use': 34,
} as const);

/** Name of an outcome. */
export type Reason = keyof typeof reasons;

/** Name of an outcome that dropped the packet. */
export type DropReason = Exclude<
  Reason,
  'allowed' | 'redirected' | 'rejudged' | 'event-lost' | 'reset-sent' | 'unreachable-sent'
>;

const names: ReadonlyMap<number, Reason> = new Map(
  Object.entries(reasons).map(([name, code]) => [code, name as Reason]),
);

/** The name of an outcome by its number; undefined when the programs are newer than this table. */
export function reasonName(code: number): Reason | undefined {
  return names.get(code);
}

const drops: ReadonlyMap<number, DropReason> = new Map(
  Object.entries(reasons)
    .filter(([, code]) => code >= reasons['policy-deny'])
    .map(([name, code]) => [code, name as DropReason]),
);

/** The reason of a drop by its number; `malformed` when the programs are newer than this table. */
export function dropReason(code: number): DropReason {
  return drops.get(code) ?? 'malformed';
}
