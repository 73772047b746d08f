import { addressBytes } from './address.ts';
import type { FlowEnd } from './datapath-maps.ts';

/** A connection that somebody may open. For ICMP the destination's port is the type, the source's the id. */
export interface ConnectionEnds {
  /** IANA number. */
  readonly protocol: number;
  readonly source: FlowEnd;
  readonly destination: FlowEnd;
}

const protocols = { icmp: 1, tcp: 6, udp: 17, icmpv6: 58, sctp: 132 } as const;
const ethernetBytes = 14;
const syn = 0x02;

/**
 * The Ethernet frame that opens a connection: a SYN, an empty datagram, an INIT or an ICMP message. Both addresses must
 * be of one family, else it throws RangeError.
 */
export function openingPacket({ protocol, source, destination }: ConnectionEnds): Uint8Array {
  const isV6 = source.address.includes(':');
  if (isV6 !== destination.address.includes(':')) {
    throw new RangeError(`${source.address} and ${destination.address} are of different families`);
  }
  const payload = opening(protocol, source.port, destination.port);
  const from = addressBytes(source.address);
  const to = addressBytes(destination.address);
  const header = isV6 ? ipv6(protocol, payload.length, from, to) : ipv4(protocol, payload.length, from, to);
  writeChecksum(protocol, payload, header, isV6);
  const frame = new Uint8Array(ethernetBytes + header.length + payload.length);
  new DataView(frame.buffer).setUint16(12, isV6 ? 0x86dd : 0x0800);
  frame.set(header, ethernetBytes);
  frame.set(payload, ethernetBytes + header.length);
  return frame;
}

/** The one's complement sum of RFC 1071 over bytes that are an even number, or padded by a zero. */
export function internetChecksum(...parts: readonly Uint8Array[]): number {
  let sum = 0;
  for (const part of parts) {
    part.forEach((byte, index) => {
      sum += index % 2 === 0 ? byte << 8 : byte;
    });
  }
  while (sum > 0xffff) sum = (sum & 0xffff) + Math.floor(sum / 0x10000);
  return ~sum & 0xffff;
}

function opening(protocol: number, sourcePort: number, destinationPort: number): Uint8Array {
  const sizes: Readonly<Record<number, number>> = { [protocols.tcp]: 20, [protocols.sctp]: 32 };
  const bytes = new Uint8Array(sizes[protocol] ?? 8);
  const view = new DataView(bytes.buffer);
  switch (protocol) {
    case protocols.icmp:
    case protocols.icmpv6:
      view.setUint8(0, destinationPort);
      view.setUint16(4, sourcePort);
      return bytes;
    case protocols.tcp:
      view.setUint8(12, 5 << 4);
      view.setUint8(13, syn);
      view.setUint16(14, 0xffff);
      break;
    case protocols.udp:
      view.setUint16(4, bytes.length);
      break;
    case protocols.sctp:
      // INIT, of 20 bytes.
      view.setUint8(12, 1);
      view.setUint16(14, 20);
      break;
    default:
      return bytes;
  }
  view.setUint16(0, sourcePort);
  view.setUint16(2, destinationPort);
  return bytes;
}

function ipv4(protocol: number, payloadBytes: number, from: Uint8Array, to: Uint8Array): Uint8Array {
  const header = new Uint8Array(20);
  const view = new DataView(header.buffer);
  view.setUint8(0, 0x45);
  view.setUint16(2, header.length + payloadBytes);
  view.setUint16(6, 0x4000);
  view.setUint8(8, 64);
  view.setUint8(9, protocol);
  header.set(from.subarray(12), 12);
  header.set(to.subarray(12), 16);
  view.setUint16(10, internetChecksum(header));
  return header;
}

function ipv6(protocol: number, payloadBytes: number, from: Uint8Array, to: Uint8Array): Uint8Array {
  const header = new Uint8Array(40);
  const view = new DataView(header.buffer);
  view.setUint8(0, 0x60);
  view.setUint16(4, payloadBytes);
  view.setUint8(6, protocol);
  view.setUint8(7, 64);
  header.set(from, 8);
  header.set(to, 24);
  return header;
}

/** Over the pseudo-header too, but for ICMP over IPv4; SCTP's CRC stays zero, nobody on the way asks for it. */
function writeChecksum(protocol: number, payload: Uint8Array, header: Uint8Array, isV6: boolean): void {
  const at = new Map<number, number>([
    [protocols.icmp, 2],
    [protocols.icmpv6, 2],
    [protocols.tcp, 16],
    [protocols.udp, 6],
  ]).get(protocol);
  if (at === undefined) return;
  const addresses = isV6 ? header.subarray(8, 40) : header.subarray(12, 20);
  const pseudo = new Uint8Array([...addresses, 0, payload.length, 0, protocol]);
  const sum = internetChecksum(...(protocol === protocols.icmp ? [payload] : [pseudo, payload]));
  new DataView(payload.buffer).setUint16(at, sum);
}
