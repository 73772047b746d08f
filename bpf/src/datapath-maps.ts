import type { IpAddress, IpPrefix } from './address.ts';
import type {
  Generation,
  IdentityNumber,
  Ifindex,
  ProxyPort,
  SetNumber,
  SubjectNumber,
  TableNumber,
} from './numbers.ts';
import type { TypedMap } from './typed-map.ts';

/** Direction of a connection as its workload sees it. */
export type PolicyDirection = 'ingress' | 'egress';

/** Who a protected interface belongs to. */
export interface EndpointValue {
  readonly identity: IdentityNumber;
  readonly subject: SubjectNumber;
}

/** What a new connection hears that a workload's policy refuses: nothing, or a RST (for UDP an ICMP error). */
export type DenyAction = 'drop' | 'reset';

/** Where an address of this node's workloads lives. */
export interface LocalAddressValue extends EndpointValue {
  readonly ifindex: Ifindex;
  /** Default `drop`. */
  readonly denyAction?: DenyAction;
}

/** The versions of a subject's policies that are in force; writing it is the switch. */
export interface SubjectValue {
  readonly ingress: Generation;
  readonly egress: Generation;
}

/** A peer under one version of a direction policy. */
export interface PeerKey {
  readonly generation: Generation;
  /** 0 is any peer that has no entry of its own. */
  readonly identity: IdentityNumber;
}

/** The table of a peer, and which entries are worth looking for in it. */
export interface TableRef {
  readonly table: TableNumber;
  /** As `lengthsOf` gives it. */
  readonly lengths: number;
}

/** An entry of a port table. */
export interface TableKey {
  readonly table: TableNumber;
  /** IANA number; 0 is any protocol and port. */
  readonly protocol: number;
  /** Without the bits that `portPrefixLength` leaves out. */
  readonly port: number;
  /** 0 (any port) to 16. */
  readonly portPrefixLength: number;
}

const anyProtocolBit = 17;

/** Which port prefix lengths a table has: the mask that the kernel goes by. */
export function lengthsOf(entries: Iterable<Pick<TableKey, 'protocol' | 'portPrefixLength'>>): number {
  let lengths = 0;
  for (const { protocol, portPrefixLength } of entries) {
    lengths |= 1 << (protocol === 0 ? anyProtocolBit : portPrefixLength);
  }
  return lengths;
}

/** What a policy entry says. */
export type PolicyVerdict =
  | { readonly kind: 'allow' }
  | { readonly kind: 'deny' }
  | { readonly kind: 'l7'; readonly set: SetNumber };

/** The two sides of a class; 0 is none. */
export interface PairKey {
  readonly egressSet: SetNumber;
  readonly ingressSet: SetNumber;
}

/** Where connections of a pair go. */
export interface PairValue {
  readonly proxyPort: ProxyPort;
}

/** "`to` permits at least what `from` does": a living connection under `from` may go on under `to`. */
export interface WideningKey {
  readonly from: SetNumber;
  readonly to: SetNumber;
}

/** One end of a connection. Port 0 for protocols without ports. */
export interface FlowEnd {
  readonly address: IpAddress;
  readonly port: number;
}

/** A living connection: who opened it, what it was judged under, and where it goes. */
export interface Connection {
  readonly protocol: number;
  /** The end that opened it. */
  readonly source: FlowEnd & EndpointValue & { readonly generation: Generation; readonly set: SetNumber };
  readonly destination: FlowEnd &
    EndpointValue & { readonly generation: Generation; readonly set: SetNumber };
  /** Undefined when it does not pass through the proxy. */
  readonly proxyPort: ProxyPort | undefined;
  /** The proxy's own connection to the destination, on behalf of the source. */
  readonly leg: boolean;
  readonly ipcacheEpoch: number;
  /** Nanoseconds of CLOCK_MONOTONIC when its last packet passed, to a second or so. */
  readonly lastSeenNs: bigint;
}

/** The maps of one instance, pinned under `<bpffs>/weir/<instance>/`. */
export interface DatapathMaps {
  readonly endpoints: TypedMap<Ifindex, EndpointValue>;
  readonly localAddresses: TypedMap<IpAddress, LocalAddressValue>;
  /** Where only workloads of this node, and the node, have addresses; what no other entry knows there is refused. */
  readonly workloadPrefixes: TypedMap<IpPrefix, true>;
  readonly ipcache: TypedMap<IpPrefix, IdentityNumber>;
  readonly subjects: TypedMap<SubjectNumber, SubjectValue>;
  readonly policyPeers: TypedMap<PeerKey, TableRef>;
  readonly policyTables: TypedMap<TableKey, PolicyVerdict>;
  readonly pairs: TypedMap<PairKey, PairValue>;
  /** A set of pairs of L7 sets; the value carries nothing. Equal sets need no entry. */
  readonly widenings: TypedMap<WideningKey, true>;
}
