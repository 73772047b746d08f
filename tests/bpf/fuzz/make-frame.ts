// Frames that are nearly right: of connections between ends that matter, with everything that a header may carry, and
// then some of their bytes changed.
import type { Random } from './random.ts';

/** Ends that frames are made between: addresses in text, all groups of IPv6 written out. */
export interface Cast {
  readonly v4: readonly string[];
  readonly v6: readonly string[];
  readonly ports: readonly number[];
}

/** A TCP connection that frames are to be of; addresses of one family. */
export interface Ends {
  readonly source: string;
  readonly sourcePort: number;
  readonly destination: string;
  readonly destinationPort: number;
}

const protocols = [6, 6, 6, 6, 17, 17, 1, 58, 132, 47, 0, 255] as const;
const tcpFlags = [0x02, 0x02, 0x12, 0x10, 0x18, 0x11, 0x04, 0x14, 0x00, 0xff] as const;

/** `owned` are addresses that the sender has: most frames are honest. */
export function makeFrame(
  random: Random,
  cast: Cast,
  owned: { v4: string; v6: string } | undefined,
): Uint8Array {
  const family = random.once(2) ? 'v6' : 'v4';
  const source = owned !== undefined && !random.once(12) ? owned[family] : random.of(cast[family]);
  const destination = random.of(cast[family]);
  const frame = wholeFrame(random, cast, family, source, destination);
  return random.once(3) ? mutate(random, frame) : frame;
}

/** A segment between these ends, with any flags, or with those given and then as it should be. */
export function makeSegment(
  random: Random,
  { source, destination, ...ports }: Ends,
  flags?: number,
): Uint8Array {
  const family = source.includes(':') ? 'v6' : 'v4';
  const segment = [
    ...be16(ports.sourcePort),
    ...be16(ports.destinationPort),
    ...fill(random, 8),
    0x50,
    flags ?? random.of(tcpFlags),
    ...fill(random, 6 + random.below(24)),
  ];
  const packet = flags === undefined ? ipOf(random, family) : plainIpOf(family);
  const frame = ethernetOf(random, family, packet(6, segment, source, destination));
  return flags === undefined && random.once(3) ? mutate(random, frame) : frame;
}

type Ip = (protocol: number, payload: readonly number[], source: string, destination: string) => number[];

/** With options, fragments, extension headers. */
function ipOf(random: Random, family: 'v4' | 'v6'): Ip {
  return (...words) => (family === 'v4' ? ipv4 : ipv6)(random, ...words);
}

/** Without. */
function plainIpOf(family: 'v4' | 'v6'): Ip {
  return ipOf({ below: () => 0, once: () => false, of: (items) => items[0]! }, family);
}

function ethernetOf(random: Random, family: 'v4' | 'v6', packet: readonly number[]): Uint8Array {
  const macs = fill(random, 12);
  const tags = random.once(20) ? [0x81, 0x00, 0, random.below(256)] : [];
  const type = family === 'v4' ? [0x08, 0x00] : [0x86, 0xdd];
  return Uint8Array.from([...macs, ...tags, ...type, ...packet]);
}

function wholeFrame(
  random: Random,
  cast: Cast,
  family: 'v4' | 'v6',
  source: string,
  destination: string,
): Uint8Array {
  if (random.once(60)) return Uint8Array.from([...fill(random, 12), 0x08, 0x06, ...arp(random, cast)]);
  const protocol = random.once(40) ? random.below(256) : random.of(protocols);
  const payload = transport(random, cast, protocol, family, source, destination);
  return ethernetOf(random, family, ipOf(random, family)(protocol, payload, source, destination));
}

function transport(
  random: Random,
  cast: Cast,
  protocol: number,
  family: 'v4' | 'v6',
  source: string,
  destination: string,
): number[] {
  const port = (): number[] => be16(random.once(4) ? 1000 + random.below(2) : random.of(cast.ports));
  const ends = [...port(), ...port()];
  switch (protocol) {
    case 6:
      return [
        ...ends,
        ...fill(random, 8),
        random.once(4) ? random.below(256) : 0x50,
        random.of(tcpFlags),
        ...fill(random, 6 + random.below(24)),
      ];
    case 17:
      return [...ends, 0, 8, 0, 0, ...fill(random, random.below(20))];
    case 132:
      return [
        ...ends,
        ...fill(random, 8),
        random.of([1, 2, 6, 11, 14, 0, 3]),
        0,
        0,
        4,
        ...fill(random, random.below(8)),
      ];
    case 1:
    case 58:
      return icmp(random, cast, family, source, destination);
    default:
      return fill(random, random.below(24));
  }
}

function icmp(
  random: Random,
  cast: Cast,
  family: 'v4' | 'v6',
  source: string,
  destination: string,
): number[] {
  const types =
    family === 'v4'
      ? [8, 8, 0, 3, 3, 11, 13, 14, 12]
      : [128, 128, 129, 1, 1, 2, 3, 4, 133, 135, 136, 137, 130, 143];
  const type = random.of(types);
  const head = [type, random.below(4), 0, 0, ...be16(1000 + random.below(4)), 0, 1];
  const isError = family === 'v4' ? [3, 11, 12].includes(type) : type <= 4;
  if (type === 136) return [...head, ...address(random.once(2) ? source : random.of(cast.v6))];
  if (!isError) return [...head, ...fill(random, random.below(16))];
  // What an error quotes came from whom it goes to.
  const quotedProtocol = random.of([6, 17, 6, 132]);
  const quoted = transport(random, cast, quotedProtocol, family, destination, source);
  const [from, to] = random.once(6) ? [source, destination] : [destination, source];
  return [
    ...head,
    ...(family === 'v4'
      ? ipv4(random, quotedProtocol, quoted, from, to)
      : ipv6(random, quotedProtocol, quoted, from, to)),
  ];
}

function ipv4(
  random: Random,
  protocol: number,
  payload: readonly number[],
  source: string,
  destination: string,
): number[] {
  const options = random.once(8) ? fill(random, 4 * (1 + random.below(10))) : [];
  const fragment = random.once(10) ? random.of([0x2000, 0x0001, 0x2001, 0x00ff]) : 0x4000;
  return [
    0x40 + 5 + options.length / 4,
    0,
    ...be16(20 + options.length + payload.length),
    ...be16(random.below(4)),
    ...be16(fragment),
    64,
    protocol,
    0,
    0,
    ...address(source),
    ...address(destination),
    ...options,
    ...payload,
  ];
}

function ipv6(
  random: Random,
  protocol: number,
  payload: readonly number[],
  source: string,
  destination: string,
): number[] {
  let next = protocol;
  let rest = [...payload];
  for (let count = random.once(3) ? 1 + random.below(4) : 0; count > 0; count -= 1) {
    const header = random.of([0, 43, 44, 60, 51]);
    rest = [next, ...extension(random, header), ...rest];
    next = header;
  }
  const hopLimit = random.once(2) ? 64 : random.of([255, 1]);
  return [
    0x60,
    0,
    0,
    0,
    ...be16(rest.length),
    next,
    hopLimit,
    ...address(source),
    ...address(destination),
    ...rest,
  ];
}

/** All but its first byte. */
function extension(random: Random, header: number): number[] {
  if (header === 44) return [0, 0, random.of([0, 0, 1, 8, 9]), 0, 0, 0, random.below(4)];
  const units = random.below(3);
  const bytes = header === 51 ? (units + 2) * 4 : (units + 1) * 8;
  const segmentsLeft = header === 43 && random.once(2) ? 1 : 0;
  return [units, 0, segmentsLeft, ...fill(random, bytes - 4)];
}

function arp(random: Random, cast: Cast): number[] {
  return [
    0,
    1,
    8,
    0,
    6,
    4,
    0,
    1 + random.below(2),
    ...fill(random, 6),
    ...address(random.of(cast.v4)),
    ...fill(random, 6),
    ...address(random.of(cast.v4)),
  ];
}

function mutate(random: Random, frame: Uint8Array): Uint8Array {
  const bytes = [...frame];
  for (let count = 1 + random.below(4); count > 0; count -= 1) {
    const at = 12 + random.below(Math.max(1, Math.min(bytes.length - 12, 100)));
    switch (random.below(5)) {
      case 0:
        bytes.length = Math.max(14, at);
        break;
      case 1:
        bytes.splice(at, random.below(4));
        break;
      case 2:
        bytes.splice(at, 0, ...fill(random, 1 + random.below(4)));
        break;
      default:
        bytes[Math.min(at, bytes.length - 1)] = random.once(2)
          ? random.of([0, 1, 255, 128])
          : random.below(256);
    }
  }
  const whole = Array.from(bytes, (byte) => byte ?? 0);
  while (whole.length < 14) whole.push(0);
  // BPF_PROG_RUN takes no frame without a payload, nor one shorter than the IP header that its type says (6.18).
  const least =
    14 + (whole[12] === 0x08 && whole[13] === 0x00 ? 20 : whole[12] === 0x86 && whole[13] === 0xdd ? 40 : 1);
  while (whole.length < least) whole.push(0);
  return Uint8Array.from(whole);
}

function fill(random: Random, bytes: number): number[] {
  return Array.from({ length: bytes }, () => random.below(256));
}

function be16(value: number): number[] {
  return [value >> 8, value & 255];
}

function address(text: string): number[] {
  return text.includes(':')
    ? text.split(':').flatMap((group) => be16(Number.parseInt(group, 16)))
    : text.split('.').map(Number);
}
