// Ethernet frames, layer by layer, with checksums where the receiver looks at them.
import { addressBytes, internetChecksum } from '@weir/bpf';

export interface Ends {
  readonly source: string;
  readonly destination: string;
}

export interface Ipv4 extends Ends {
  readonly protocol: number;
  readonly options?: readonly number[];
  /** Fragment flags and offset as they stand in the header. */
  readonly fragment?: number;
  readonly id?: number;
  readonly version?: number;
  readonly headerWords?: number;
  readonly totalLength?: number;
}

export interface Ipv6 extends Ends {
  /** What follows: an extension header or a protocol. */
  readonly next: number;
  readonly hopLimit?: number;
}

export const protocols = { icmp: 1, tcp: 6, udp: 17, icmpv6: 58, none: 59, sctp: 132 } as const;
export const flags = { fin: 1, syn: 2, rst: 4, psh: 8, ack: 16 } as const;

const joined = (...parts: readonly (readonly number[] | Uint8Array)[]): Uint8Array =>
  Uint8Array.from(parts.flatMap((part) => [...part]));
const be16 = (value: number): readonly number[] => [(value >> 8) & 255, value & 255];
const be32 = (value: number): readonly number[] => [...be16(value >>> 16), ...be16(value)];

/** Two locally administered addresses, tags if any, and the payload under its EtherType. */
export function ethernet(type: number, payload: Uint8Array, tags: readonly number[] = []): Uint8Array {
  const tagged = tags.flatMap((tag) => [...be16(tag), ...be16(5)]);
  return joined([2, 0, 0, 0, 0, 2], [2, 0, 0, 0, 0, 1], tagged, be16(type), payload);
}

export function ipv4(fields: Ipv4, payload: Uint8Array): Uint8Array {
  const { options = [], fragment = 0, id = 1, version = 4 } = fields;
  const words = fields.headerWords ?? 5 + options.length / 4;
  const header = joined(
    [version * 16 + words, 0],
    be16(fields.totalLength ?? 20 + options.length + payload.length),
    be16(id),
    be16(fragment),
    [64, fields.protocol, 0, 0],
    addressBytes(fields.source).subarray(12),
    addressBytes(fields.destination).subarray(12),
    options,
  );
  header.set(be16(internetChecksum(header)), 10);
  return joined(header, payload);
}

export function ipv6({ source, destination, next, hopLimit = 64 }: Ipv6, payload: Uint8Array): Uint8Array {
  const addresses = [source, destination].map((address) => addressBytes(address));
  return joined([0x60, 0, 0, 0], be16(payload.length), [next, hopLimit], ...addresses, payload);
}

/** An extension header of `8 * (units + 1)` bytes before its payload; `body` follows its first two bytes. */
export function extension(
  next: number,
  payload: Uint8Array,
  body: readonly number[] = [],
  units = 0,
): Uint8Array {
  const bytes = new Uint8Array(8 * (units + 1));
  bytes.set([next, units, ...body]);
  return joined(bytes, payload);
}

/** An IPv6 fragment header; the offset counts bytes. */
export function fragmentHeader(
  next: number,
  offset: number,
  more: boolean,
  id: number,
  payload: Uint8Array,
): Uint8Array {
  return joined([next, 0], be16(offset | (more ? 1 : 0)), be32(id), payload);
}

/** An authentication header (RFC 4302) with 12 bytes of check value: its length counts other units than the others. */
export function authentication(next: number, payload: Uint8Array): Uint8Array {
  return joined([next, 4, 0, 0], new Uint8Array(20), payload);
}

export function tcp(
  ends: Ends,
  sourcePort: number,
  port: number,
  bits: number = flags.syn,
  payload = new Uint8Array(),
): Uint8Array {
  const segment = joined(
    be16(sourcePort),
    be16(port),
    be32(1),
    be32(bits & flags.ack ? 1 : 0),
    [0x50, bits],
    be16(0xffff),
    [0, 0, 0, 0],
    payload,
  );
  return withChecksum(segment, 16, ends, protocols.tcp);
}

/** A TCP segment without payload in a whole frame, of the family of its ends. */
export function tcpFrame(ends: Ends, sourcePort: number, port: number, bits?: number): Uint8Array {
  const segment = tcp(ends, sourcePort, port, bits);
  return ends.source.includes(':')
    ? ethernet(0x86dd, ipv6({ ...ends, next: protocols.tcp }, segment))
    : ethernet(0x0800, ipv4({ ...ends, protocol: protocols.tcp }, segment));
}

export function udp(ends: Ends, sourcePort: number, port: number, payload = new Uint8Array()): Uint8Array {
  const datagram = joined(be16(sourcePort), be16(port), be16(8 + payload.length), [0, 0], payload);
  return withChecksum(datagram, 6, ends, protocols.udp);
}

/** An SCTP packet (RFC 9260) with one chunk, whose CRC nobody on the way looks at. */
export function sctp(sourcePort: number, port: number, chunk: number): Uint8Array {
  return joined(be16(sourcePort), be16(port), new Uint8Array(8), [chunk, 0], be16(20), new Uint8Array(16));
}

/** `rest` follows the checksum: id and sequence of an echo, the quoted packet of an error after four bytes, … */
export function icmp(type: number, rest: Uint8Array, code = 0): Uint8Array {
  const message = joined([type, code, 0, 0], rest);
  message.set(be16(internetChecksum(message)), 2);
  return message;
}

export function icmpv6(ends: Ends, type: number, rest: Uint8Array, code = 0): Uint8Array {
  return withChecksum(joined([type, code, 0, 0], rest), 2, ends, protocols.icmpv6);
}

/** Four bytes of nothing, and the target of a neighbour message. */
export function target(address: string): Uint8Array {
  return joined([0, 0, 0, 0], addressBytes(address));
}

function withChecksum(message: Uint8Array, at: number, ends: Ends, protocol: number): Uint8Array {
  const addresses = [ends.source, ends.destination].flatMap((address) => [...addressBytes(address)]);
  const pseudo = joined(addresses, be32(message.length), be32(protocol));
  message.set(be16(internetChecksum(pseudo, message)), at);
  return message;
}
