import type { IpAddress, IpPrefix } from './address.ts';
import type {
  EndpointValue,
  LocalAddressValue,
  PairKey,
  PairValue,
  PeerKey,
  PolicyVerdict,
  SubjectValue,
  TableKey,
  TableRef,
  WideningKey,
} from './datapath-maps.ts';
import type { Codec } from './kernel-map.ts';
import { type Layout, u8, u32 } from './layout.ts';
import { codes, layouts } from './layouts.ts';
import {
  generation,
  type IdentityNumber,
  type Ifindex,
  identityNumber,
  ifindex,
  proxyPort,
  type SubjectNumber,
  setNumber,
  subjectNumber,
  tableNumber,
} from './numbers.ts';

/** IPv4 addresses sit behind 96 bits of ::ffff. */
const mappedBits = 96;

const coded = <Raw, Value>(
  raw: Layout<Raw>,
  decode: (raw: Raw) => Value,
  encode: (value: Value) => Raw,
): Codec<Value> => ({
  bytes: raw.bytes,
  read: (view, offset) => decode(raw.read(view, offset)),
  write: (view, offset, value) => raw.write(view, offset, encode(value)),
});

const bare = <Value extends number>(make: (value: number) => Value): Codec<Value> => ({
  bytes: u32.bytes,
  read: (view, offset) => make(u32.read(view, offset)),
  write: (view, offset, value) => u32.write(view, offset, value),
});

const verdictOf = (verdict: number, set: number): PolicyVerdict => {
  if (verdict === codes.verdict.allow) return Object.freeze({ kind: 'allow' });
  if (verdict === codes.verdict.l7) return Object.freeze({ kind: 'l7', set: setNumber(set) });
  return Object.freeze({ kind: 'deny' });
};

const prefixBits = (prefix: IpPrefix) => prefix.length + (prefix.address.includes(':') ? 0 : mappedBits);

/** How the datapath's domain values look in the kernel. */
export const codecs = Object.freeze({
  ifindex: bare<Ifindex>(ifindex),
  subjectNumber: bare<SubjectNumber>(subjectNumber),
  identity: bare<IdentityNumber>(identityNumber),
  address: coded(
    layouts.address,
    (raw): IpAddress => raw.words,
    (words) => ({ words }),
  ),
  endpoint: coded(
    layouts.endpoint,
    (raw): EndpointValue => ({ identity: identityNumber(raw.identity), subject: subjectNumber(raw.subject) }),
    (value) => value,
  ),
  localAddress: coded(
    layouts.localAddress,
    (raw): LocalAddressValue => ({
      ifindex: ifindex(raw.ifindex),
      identity: identityNumber(raw.identity),
      subject: subjectNumber(raw.subject),
      denyAction: (raw.flags & codes.addressFlag.answersRefused) === 0 ? 'drop' : 'reset',
    }),
    ({ denyAction, ...value }) => ({
      ...value,
      flags: denyAction === 'reset' ? codes.addressFlag.answersRefused : 0,
    }),
  ),
  prefix: coded(
    layouts.prefix,
    (raw): IpPrefix => ({
      address: raw.address,
      length: raw.address.includes(':') ? raw.prefix_length : raw.prefix_length - mappedBits,
    }),
    (value) => ({ prefix_length: prefixBits(value), address: value.address }),
  ),
  subject: coded(
    layouts.subject,
    (raw): SubjectValue => ({ ingress: generation(raw.ingress), egress: generation(raw.egress) }),
    (value) => value,
  ),
  peerKey: coded(
    layouts.peerKey,
    (raw): PeerKey => ({ generation: generation(raw.generation), identity: identityNumber(raw.identity) }),
    (key) => key,
  ),
  tableRef: coded(
    layouts.table,
    (raw): TableRef => ({ table: tableNumber(raw.table), lengths: raw.lengths }),
    (ref) => ref,
  ),
  tableKey: coded(
    layouts.tableKey,
    (raw): TableKey => ({
      table: tableNumber(raw.table),
      protocol: raw.protocol,
      port: raw.port,
      portPrefixLength: raw.length,
    }),
    ({ table, protocol, port, portPrefixLength }) => ({ table, protocol, port, length: portPrefixLength }),
  ),
  policyVerdict: coded(
    layouts.policyValue,
    (raw): PolicyVerdict => verdictOf(raw.verdict, raw.set),
    (value) => ({
      set: value.kind === 'l7' ? value.set : 0,
      verdict: codes.verdict[value.kind],
      reserved: undefined,
    }),
  ),
  pair: coded(
    layouts.pair,
    (raw): PairKey => ({ egressSet: setNumber(raw.egress_set), ingressSet: setNumber(raw.ingress_set) }),
    (key) => ({ egress_set: key.egressSet, ingress_set: key.ingressSet }),
  ),
  pairValue: coded(
    layouts.pairValue,
    (raw): PairValue => ({ proxyPort: proxyPort(raw.proxy_port) }),
    (value) => ({ proxy_port: value.proxyPort, reserved: undefined }),
  ),
  widening: coded(
    layouts.widening,
    (raw): WideningKey => ({ from: setNumber(raw.from), to: setNumber(raw.to) }),
    (key) => key,
  ),
  present: {
    bytes: u8.bytes,
    read: () => true,
    write: (view, offset) => u8.write(view, offset, 1),
  } satisfies Codec<true> as Codec<true>,
});
