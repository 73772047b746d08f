// What the programs make of headers: each arrangement is run by the real programs with a port that the policy allows
// and with one that it does not, so that a port that was not found shows.
import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import {
  addressBytes,
  type Datapath,
  identityNumber,
  ipPrefix,
  openPacketRunner,
  type PacketRunner,
} from '@weir/bpf';
import {
  authentication,
  type Ends,
  ethernet,
  extension,
  flags,
  fragmentHeader,
  icmp,
  icmpv6,
  ipv4,
  ipv6,
  protocols,
  sctp,
  target,
  tcp,
  udp,
} from './frame.ts';
import {
  apply,
  bpffs,
  enterLab,
  gatewayOf,
  linkOf,
  marks,
  openLabDatapath,
  outside,
  workloads,
} from './lab.ts';

const lab = enterLab(import.meta.filename);
const v4: Ends = { source: workloads.alpha.address, destination: workloads.beta.address };
const v6: Ends = { source: workloads.alpha.address6, destination: workloads.beta.address6 };
const allow = { kind: 'allow' } as const;
const ip = 0x0800;
const ip6 = 0x86dd;
const [hop, routing, fragment, auth, options] = [0, 43, 44, 51, 60];
const linkLocal = 'fe80::2';
const allNodes = 'ff02::1';

const in4 = (payload: Uint8Array, protocol: number, more: Partial<Parameters<typeof ipv4>[0]> = {}) =>
  ethernet(ip, ipv4({ ...v4, protocol, ...more }, payload));
const in6 = (payload: Uint8Array, next: number, more: Partial<Parameters<typeof ipv6>[0]> = {}) =>
  ethernet(ip6, ipv6({ ...v6, next, ...more }, payload));
/** A chain of `count` destination options before TCP. */
const chain = (count: number, payload: Uint8Array): Uint8Array =>
  Array.from({ length: count }).reduce<Uint8Array>(
    (rest, _, place) => extension(place === 0 ? protocols.tcp : options, rest, [1, 4]),
    payload,
  );

/** Arrangements whose port is found. */
const found: readonly (readonly [name: string, frame: (port: number) => Uint8Array])[] = [
  ['IPv4', (port) => in4(tcp(v4, 9, port), protocols.tcp)],
  ['IPv4 with 4 bytes of options', (port) => in4(tcp(v4, 9, port), protocols.tcp, { options: [1, 1, 1, 0] })],
  [
    'IPv4 with 40 bytes of options, a record route',
    (port) => in4(tcp(v4, 9, port), protocols.tcp, { options: [1, 7, 39, 4, ...Array(36).fill(0)] }),
  ],
  [
    'IPv4 with a source route behind the end of options',
    (port) => in4(tcp(v4, 9, port), protocols.tcp, { options: [0, 131, 3, 4] }),
  ],
  [
    'IPv4 with a total length of 0, as from BIG TCP',
    (port) => in4(tcp(v4, 9, port), protocols.tcp, { totalLength: 0 }),
  ],
  ['IPv6', (port) => in6(tcp(v6, 9, port), protocols.tcp)],
  ['hop-by-hop options', (port) => in6(extension(protocols.tcp, tcp(v6, 9, port), [1, 4]), hop)],
  [
    'a jumbo payload option, as from BIG TCP',
    (port) => in6(extension(protocols.tcp, tcp(v6, 9, port), [0xc2, 4, 0, 1, 0, 0]), hop),
  ],
  [
    'long destination options',
    (port) => in6(extension(protocols.tcp, tcp(v6, 9, port), [1, 4], 30), options),
  ],
  [
    'a routing header that is through',
    (port) => in6(extension(protocols.tcp, tcp(v6, 9, port), [4, 0]), routing),
  ],
  ['an authentication header', (port) => in6(authentication(protocols.tcp, tcp(v6, 9, port)), auth)],
  [
    'an atomic fragment',
    (port) => in6(fragmentHeader(protocols.tcp, 0, false, 1, tcp(v6, 9, port)), fragment),
  ],
  ['a first fragment', (port) => in6(fragmentHeader(protocols.tcp, 0, true, 1, tcp(v6, 9, port)), fragment)],
  [
    'hop-by-hop, routing, fragment, authentication and destination options',
    (port) =>
      in6(
        extension(
          routing,
          extension(
            fragment,
            fragmentHeader(
              auth,
              0,
              false,
              1,
              authentication(options, extension(protocols.tcp, tcp(v6, 9, port), [1, 4])),
            ),
            [4, 0],
          ),
          [1, 4],
        ),
        hop,
      ),
  ],
  ['eight extension headers', (port) => in6(chain(8, tcp(v6, 9, port)), options)],
  ['a VLAN tag', (port) => ethernet(ip, ipv4({ ...v4, protocol: 6 }, tcp(v4, 9, port)), [0x8100])],
  ['two VLAN tags', (port) => ethernet(ip6, ipv6({ ...v6, next: 6 }, tcp(v6, 9, port)), [0x88a8, 0x8100])],
  ['UDP over IPv4', (port) => in4(udp(v4, 9, port), protocols.udp)],
  ['UDP over IPv6', (port) => in6(udp(v6, 9, port), protocols.udp)],
  ['SCTP over IPv4', (port) => in4(sctp(9, port, 1), protocols.sctp)],
  ['SCTP over IPv6', (port) => in6(sctp(9, port, 1), protocols.sctp)],
  ['an ICMP type', (port) => in4(icmp(port, new Uint8Array(4)), protocols.icmp)],
  ['an ICMPv6 type', (port) => in6(icmpv6(v6, port, new Uint8Array(4)), protocols.icmpv6)],
];
/** Allowed for every protocol above; its neighbour is not. */
const allowedPort = 200;

const quoted = (destination: string): Uint8Array =>
  new Uint8Array([0, 0, 0, 0, ...ipv6({ source: v6.destination, destination, next: 6 }, tcp(v6, 80, 9))]);

/** Frames that are dropped for what they are. */
const dropped: readonly (readonly [name: string, reason: string, frame: Uint8Array])[] = [
  [
    'a loose source route',
    'source-routed',
    in4(tcp(v4, 9, 200), 6, { options: [131, 7, 4, 10, 71, 3, 2, 0] }),
  ],
  [
    'a strict source route',
    'source-routed',
    in4(tcp(v4, 9, 200), 6, { options: [1, 137, 7, 4, 10, 71, 3, 2] }),
  ],
  ['an option without length', 'source-routed', in4(tcp(v4, 9, 200), 6, { options: [7, 0, 0, 0] })],
  ['an option beyond the header', 'source-routed', in4(tcp(v4, 9, 200), 6, { options: [7, 40, 0, 0] })],
  [
    'a routing header with segments left',
    'source-routed',
    in6(extension(6, tcp(v6, 9, 200), [0, 1]), routing),
  ],
  ['an IPv4 header of four words', 'malformed', in4(tcp(v4, 9, 200), 6, { headerWords: 4 })],
  ['an IPv4 total length inside the header', 'malformed', in4(tcp(v4, 9, 200), 6, { totalLength: 19 })],
  ['another version', 'malformed', in4(tcp(v4, 9, 200), 6, { version: 5 })],
  ['nine extension headers', 'malformed', in6(chain(9, tcp(v6, 9, 200)), options)],
  ['more than 512 bytes of headers', 'malformed', in6(extension(6, tcp(v6, 9, 200), [1, 4], 64), options)],
  ['an extension header cut short', 'malformed', in6(extension(6, new Uint8Array(), [1, 4], 3), options)],
  ['TCP cut short', 'malformed', in6(tcp(v6, 9, 200).subarray(0, 19), 6)],
  ['UDP cut short', 'malformed', in6(udp(v6, 9, 200).subarray(0, 7), 17)],
  ['SCTP without a chunk', 'malformed', in6(sctp(9, 200, 1).subarray(0, 12), 132)],
  [
    'a first fragment without its ports',
    'malformed',
    in6(fragmentHeader(6, 0, true, 1, new Uint8Array(8)), fragment),
  ],
  [
    'ports behind a header that is in another fragment',
    'malformed',
    in6(fragmentHeader(options, 0, true, 1, extension(6, new Uint8Array(), [1, 4])), fragment),
  ],
  [
    'a later fragment whose first nobody saw',
    'fragment-unknown',
    in6(fragmentHeader(6, 8, true, 77, new Uint8Array(8)), fragment),
  ],
  [
    'an IPv4 address as IPv6 source',
    'malformed',
    ethernet(
      ip6,
      ipv6({ source: '::ffff:10.71.1.2', destination: v6.destination, next: 6 }, tcp(v4, 9, 200)),
    ),
  ],
  [
    'an IPv4 address as IPv6 destination',
    'malformed',
    ethernet(ip6, ipv6({ source: v6.source, destination: '::ffff:10.71.2.2', next: 6 }, tcp(v4, 9, 200))),
  ],
  ['ICMPv6 over IPv4', 'malformed', in4(icmp(200, new Uint8Array(4)), protocols.icmpv6)],
  ['ICMP over IPv6', 'malformed', in6(icmp(200, new Uint8Array(4)), protocols.icmp)],
  ['IPX', 'family-unsupported', ethernet(0x8137, new Uint8Array(46))],
  [
    'three VLAN tags',
    'family-unsupported',
    ethernet(ip, ipv4({ ...v4, protocol: 6 }, tcp(v4, 9, 200)), [0x88a8, 0x8100, 0x8100]),
  ],
  ['a SYN-ACK of nobody', 'no-connection', in6(tcp(v6, 9, 200, flags.syn | flags.ack), 6)],
  ['a RST of nobody', 'no-connection', in6(tcp(v6, 9, 200, flags.rst), 6)],
  ['an SCTP INIT-ACK of nobody', 'no-connection', in6(sctp(9, 200, 2), 132)],
  ['an SCTP ABORT of nobody', 'no-connection', in6(sctp(9, 200, 6), 132)],
  ['an echo reply of nobody', 'no-connection', in6(icmpv6(v6, 129, new Uint8Array(4)), 58)],
  ['an error about nothing known', 'no-connection', in6(icmpv6(v6, 1, quoted(v6.source)), 58)],
  [
    'an error about what another sent',
    'malformed',
    in6(
      icmpv6(
        v6,
        1,
        new Uint8Array([
          0,
          0,
          0,
          0,
          ...ipv6({ source: v6.source, destination: v6.destination, next: 6 }, tcp(v6, 9, 80)),
        ]),
      ),
      58,
    ),
  ],
  ['an error with too short a quote', 'malformed', in6(icmpv6(v6, 1, quoted(v6.source).subarray(0, 46)), 58)],
];

/** A neighbour message on the link of alpha. */
const nd = (
  type: number,
  ends: Partial<Ends> = {},
  about = gatewayOf(v6.source),
  hopLimit = 255,
): Uint8Array => {
  const all = { source: v6.source, destination: allNodes, ...ends };
  return ethernet(ip6, ipv6({ ...all, next: 58, hopLimit }, icmpv6(all, type, target(about))));
};
const gateway = gatewayOf(v6.source);

/** An ARP request for the router in the name of `sender`. */
const arp = (sender: string): Uint8Array => {
  const [own, router] = [sender, gatewayOf(v4.source)].map((address) => [
    ...addressBytes(address).subarray(12),
  ]);
  const request = [
    0,
    1,
    8,
    0,
    6,
    4,
    0,
    1,
    2,
    0,
    0,
    0,
    0,
    1,
    ...(own ?? []),
    0,
    0,
    0,
    0,
    0,
    0,
    ...(router ?? []),
  ];
  return ethernet(0x0806, new Uint8Array([...request, ...Array(18).fill(0)]));
};

const neighbours: readonly (readonly [name: string, outcome: string, frame: Uint8Array])[] = [
  ['asks for its router', 'pass', nd(135)],
  ['asks whether its router is there', 'pass', nd(135, { destination: gateway })],
  ['probes an address (DAD)', 'pass', nd(135, { source: '::' }, v6.source)],
  ['asks from a link-local address', 'pass', nd(135, { source: linkLocal })],
  ['asks in the name of another', 'source-not-owned', nd(135, { source: v6.destination })],
  ['answers for itself', 'pass', nd(136, {}, v6.source)],
  ['answers for itself from a link-local address', 'pass', nd(136, { source: linkLocal }, v6.source)],
  ['answers for its link-local address', 'pass', nd(136, { source: linkLocal }, linkLocal)],
  ['answers for another', 'source-not-owned', nd(136, {}, v6.destination)],
  ['answers for its router', 'source-not-owned', nd(136, {}, gateway)],
  ['answers for another link-local address', 'source-not-owned', nd(136, { source: linkLocal }, 'fe80::1')],
  ['looks for routers', 'pass', nd(133, { source: linkLocal, destination: 'ff02::2' })],
  ['advertises routes', 'neighbour-refused', nd(134, { source: linkLocal })],
  ['redirects', 'neighbour-refused', nd(137, { source: linkLocal })],
  ['has a hop limit that says it was forwarded', 'neighbour-refused', nd(135, {}, gateway, 254)],
  ['reports what it listens to', 'pass', nd(143, { source: linkLocal, destination: 'ff02::16' }, '::', 1)],
  ['asks who listens', 'neighbour-refused', nd(130, { source: linkLocal }, '::', 1)],
  ['asks for its router by ARP', 'pass', arp(v4.source)],
  ['probes an address by ARP', 'pass', arp('0.0.0.0')],
  ['asks by ARP in the name of another', 'source-not-owned', arp(v4.destination)],
  ['writes to a workload, as a neighbour', 'policy-default-deny', nd(135, { destination: v6.destination })],
  ['writes to the world, as a neighbour', 'policy-default-deny', nd(135, { destination: outside.address6 })],
];

describe('headers', () => {
  let datapath: Datapath;
  let runner: PacketRunner;
  before(() => {
    datapath = openLabDatapath(lab);
    datapath.maps.ipcache.set(ipPrefix(gateway), identityNumber(1));
    runner = openPacketRunner({ instance: lab, marks, bpffs });
    apply(
      datapath,
      'alpha',
      [1, 6, 17, 58, 132].map((protocol) => ({
        direction: 'egress',
        peer: 1002,
        protocol,
        port: allowedPort,
        verdict: allow,
      })),
    );
  });
  after(() => {
    runner.close();
    datapath.remove();
  });

  const from = (frame: Uint8Array) => {
    const { action, events } = runner.run(frame, {
      hook: 'from-workload',
      ifindex: linkOf(workloads.alpha.link),
    });
    const [event] = events;
    return event?.kind === 'drop' ? event.reason : action;
  };

  for (const [name, frame] of found) {
    test(`the port is found: ${name}`, () => {
      runner.forget();
      assert.equal(from(frame(allowedPort)), 'pass');
      assert.equal(from(frame(allowedPort + 1)), 'policy-default-deny');
    });
  }

  for (const [name, reason, frame] of dropped) {
    test(`${name}: ${reason}`, () => {
      runner.forget();
      assert.equal(from(frame), reason);
    });
  }

  for (const [name, outcome, frame] of neighbours) {
    test(`a workload ${name}: ${outcome}`, () => assert.equal(from(frame), outcome));
  }

  test('later IPv6 fragments follow their first, by id and addresses', () => {
    runner.forget();
    const first = (port: number, id: number) =>
      in6(fragmentHeader(17, 0, true, id, udp(v6, 9, port)), fragment);
    const later = (id: number, next = 17) =>
      in6(fragmentHeader(next, 8, true, id, new Uint8Array(8)), fragment);
    assert.equal(from(later(5)), 'fragment-unknown');
    assert.equal(from(first(allowedPort, 5)), 'pass');
    assert.equal(from(later(5)), 'pass');
    assert.equal(from(later(6)), 'fragment-unknown');
    assert.equal(from(first(allowedPort + 1, 7)), 'policy-default-deny');
    assert.equal(from(later(7)), 'fragment-unknown');
  });

  test('routes come to a workload from the node alone, and nothing that was forwarded', () => {
    const to = (frame: Uint8Array, cameThrough?: string) => {
      const ifindex = linkOf(workloads.alpha.link);
      const place = { hook: 'to-workload', ifindex } as const;
      const { action, events } = runner.run(
        frame,
        cameThrough === undefined ? place : { ...place, cameThrough: linkOf(cameThrough) },
      );
      const [event] = events;
      return event?.kind === 'drop' ? event.reason : action;
    };
    const router = { source: 'fe80::1' };
    assert.equal(to(nd(134, router)), 'pass');
    assert.equal(to(nd(134, router), outside.link), 'neighbour-refused');
    assert.equal(to(nd(137, router), workloads.beta.link), 'neighbour-refused');
    assert.equal(to(nd(135, router, v6.source)), 'pass');
    assert.equal(to(nd(135, { ...router, destination: v6.source }, v6.source, 254)), 'neighbour-refused');
  });

  test('SCTP: what INIT opened goes on both ways, and ABORT ends it', () => {
    runner.forget();
    const back = { source: v6.destination, destination: v6.source };
    const fromBeta = (chunk: number) => {
      const { action, events } = runner.run(
        ethernet(ip6, ipv6({ ...back, next: 132 }, sctp(allowedPort, 9, chunk))),
        {
          hook: 'from-workload',
          ifindex: linkOf(workloads.beta.link),
        },
      );
      const [event] = events;
      return event?.kind === 'drop' ? event.reason : action;
    };
    assert.equal(fromBeta(2), 'no-connection');
    assert.equal(from(in6(sctp(9, allowedPort, 1), 132)), 'pass');
    assert.equal(fromBeta(2), 'pass');
    assert.equal(from(in6(sctp(9, allowedPort, 0), 132)), 'pass');
    assert.equal([...runner.connections()].length, 1);
    assert.equal(fromBeta(6), 'pass');
    assert.equal([...runner.connections()].length, 0);
  });
});
