import { SocketAddress } from 'node:net';
import type { Branded } from './brand.ts';

/** An IPv4 or IPv6 address as canonical text, e.g. `10.0.0.1`, `fd00::1`. */
export type IpAddress = Branded<string, 'IpAddress'>;

/** A range of addresses; `length` counts in the address's own family (0..32 or 0..128). */
export interface IpPrefix {
  readonly address: IpAddress;
  readonly length: number;
}

/** Parses an address into canonical text. IPv4-mapped IPv6 becomes IPv4. Throws on anything else. */
export function ipAddress(text: string): IpAddress {
  return addressFromBytes(addressBytes(text));
}

/** Parses `10.0.0.0/8`, `fd00::/8` or a lone address (its full length). Throws on anything else. */
export function ipPrefix(text: string): IpPrefix {
  const [head = '', tail] = text.split('/');
  const address = ipAddress(head);
  const width = address.includes(':') ? 128 : 32;
  const length = tail === undefined ? width : Number(tail);
  if (tail === '' || !Number.isInteger(length) || length < 0 || length > width) {
    throw new RangeError(`${text} is not a prefix: its length must be from 0 to ${width}`);
  }
  return Object.freeze({ address, length });
}

/** The 16 bytes under which the kernel maps know an address; IPv4 is ::ffff:a.b.c.d (RFC 4291 2.5.5.2). */
export function addressBytes(text: string): Uint8Array {
  const bytes = new Uint8Array(16);
  const quad = text.split('.');
  if (quad.length === 4 && !text.includes(':')) {
    bytes.fill(0xff, 10, 12);
    quad.forEach((part, index) => {
      if (!/^(0|[1-9]\d{0,2})$/.test(part) || Number(part) > 255) throw badAddress(text);
      bytes[12 + index] = Number(part);
    });
    return bytes;
  }
  let canonical: string;
  try {
    if (text.includes('%') || !text.includes(':')) throw badAddress(text);
    canonical = new SocketAddress({ address: text, family: 'ipv6' }).address;
  } catch {
    throw badAddress(text);
  }
  const mapped = /^::ffff:(\d+\.\d+\.\d+\.\d+)$/.exec(canonical)?.[1];
  if (mapped !== undefined) return addressBytes(mapped);
  const dotted = /^(.*:)(\d+)\.(\d+)\.(\d+)\.(\d+)$/.exec(canonical);
  const plain =
    dotted === null ? canonical : `${dotted[1]}${pair(dotted[2], dotted[3])}:${pair(dotted[4], dotted[5])}`;
  const [left = '', right = ''] = plain.split('::');
  const leftWords = left === '' ? [] : left.split(':');
  const rightWords = right === '' ? [] : right.split(':');
  const view = new DataView(bytes.buffer);
  leftWords.forEach((word, index) => {
    view.setUint16(index * 2, Number.parseInt(word, 16));
  });
  rightWords.forEach((word, index) => {
    view.setUint16((8 - rightWords.length + index) * 2, Number.parseInt(word, 16));
  });
  return bytes;
}

/** The address that 16 kernel bytes stand for. */
export function addressFromBytes(bytes: Uint8Array): IpAddress {
  const view = new DataView(bytes.buffer, bytes.byteOffset, 16);
  if (view.getBigUint64(0) === 0n && view.getUint32(8) === 0xffff) {
    return bytes.subarray(12, 16).join('.') as IpAddress;
  }
  const words = Array.from({ length: 8 }, (_, index) => view.getUint16(index * 2).toString(16));
  return new SocketAddress({ address: words.join(':'), family: 'ipv6' }).address as IpAddress;
}

function pair(high: string | undefined, low: string | undefined): string {
  return ((Number(high) << 8) | Number(low)).toString(16);
}

function badAddress(text: string): RangeError {
  return new RangeError(`${text} is not an IPv4 or IPv6 address`);
}
