import type { IpAddress, IpPrefix } from './address.ts';
import type { Generation, IdentityNumber, Ifindex, ProxyPort, SetNumber, SubjectNumber } from './numbers.ts';
import type { TypedMap } from './typed-map.ts';

/** Direction of a connection as its workload sees it. */
export type PolicyDirection = 'ingress' | 'egress';

/** Who a protected interface belongs to. */
export interface EndpointValue {
  readonly identity: IdentityNumber;
  readonly subject: SubjectNumber;
}

/** Where an address of this node's workloads lives. */
export interface LocalAddressValue extends EndpointValue {
  readonly ifindex: Ifindex;
}

/** The version of a subject policy that is in force; writing it is the switch of generation. */
export interface SubjectValue {
  readonly generation: Generation;
  readonly enforceIngress: boolean;
  readonly enforceEgress: boolean;
}

/** Prefix of the policy trie: protocol 0 is any protocol and port, else `portPrefixLength` bits of the port. */
export interface PolicyKey {
  readonly generation: Generation;
  readonly direction: PolicyDirection;
  /** The peer; 0 is any. */
  readonly identity: IdentityNumber;
  /** IANA number, 0 any. */
  readonly protocol: number;
  readonly port: number;
  /** 0 (any port) to 16. */
  readonly portPrefixLength: number;
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
  readonly ipcache: TypedMap<IpPrefix, IdentityNumber>;
  readonly subjects: TypedMap<SubjectNumber, SubjectValue>;
  readonly policy: TypedMap<PolicyKey, PolicyVerdict>;
  readonly pairs: TypedMap<PairKey, PairValue>;
  /** A set of pairs of L7 sets; the value carries nothing. Equal sets need no entry. */
  readonly widenings: TypedMap<WideningKey, true>;
}
