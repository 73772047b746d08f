import type { Brand } from '../types/brand.ts';

/** An address prefix in canonical text (`10.0.0.0/8`, `2001:db8::/32`), host bits cleared. */
export type PrefixText = Brand<string, 'PrefixText'>;

export interface Prefix {
  readonly family: 4 | 6;
  /** The address as a number, host bits cleared: 32 bits or 128. */
  readonly bits: bigint;
  readonly length: number;
  readonly text: PrefixText;
}

/** Reads `address/length`. null: not a prefix. */
export function parsePrefix(text: string): Prefix | null {
  const slash = text.indexOf('/');
  if (slash < 0) return null;
  const address = parseBits(text.slice(0, slash));
  const lengthText = text.slice(slash + 1);
  if (address === null || !/^(0|[1-9][0-9]{0,2})$/.test(lengthText)) return null;
  return makePrefix(address.family, address.bits, Number(lengthText));
}

/** Reads an address as the prefix of itself alone. null: not an address. */
export function parseAddress(text: string): Prefix | null {
  const address = parseBits(text);
  return address === null ? null : makePrefix(address.family, address.bits, address.family === 4 ? 32 : 128);
}

/** Whether every address of `inner` is one of `outer`. */
export function containsPrefix(outer: Prefix, inner: Prefix): boolean {
  if (outer.family !== inner.family || outer.length > inner.length) return false;
  const shift = BigInt((outer.family === 4 ? 32 : 128) - outer.length);
  return outer.bits >> shift === inner.bits >> shift;
}

/** The prefix of an address at a length, for longest-prefix searches. */
export function truncatePrefix(prefix: Prefix, length: number): PrefixText {
  return prefixText(prefix.family, clearHostBits(prefix.family, prefix.bits, length), length);
}

function makePrefix(family: 4 | 6, bits: bigint, length: number): Prefix | null {
  if (length > (family === 4 ? 32 : 128)) return null;
  const network = clearHostBits(family, bits, length);
  return Object.freeze({ family, bits: network, length, text: prefixText(family, network, length) });
}

function clearHostBits(family: 4 | 6, bits: bigint, length: number): bigint {
  const host = BigInt((family === 4 ? 32 : 128) - length);
  return (bits >> host) << host;
}

function prefixText(family: 4 | 6, bits: bigint, length: number): PrefixText {
  return `${family === 4 ? ipv4Text(Number(bits)) : ipv6Text(bits)}/${length}` as PrefixText;
}

function parseBits(text: string): { family: 4 | 6; bits: bigint } | null {
  if (!text.includes(':')) {
    const bits = parseIpv4(text);
    return bits === null ? null : { family: 4, bits: BigInt(bits) };
  }
  const bits = parseIpv6(text);
  return bits === null ? null : { family: 6, bits };
}

function parseIpv4(text: string): number | null {
  const match = /^(\d{1,3})\.(\d{1,3})\.(\d{1,3})\.(\d{1,3})$/.exec(text);
  if (match === null) return null;
  let bits = 0;
  for (const part of match.slice(1)) {
    if ((part.length > 1 && part.startsWith('0')) || Number(part) > 255) return null;
    bits = bits * 256 + Number(part);
  }
  return bits;
}

function parseIpv6(text: string): bigint | null {
  let source = text;
  const dotted = text.lastIndexOf('.') >= 0 ? text.slice(text.lastIndexOf(':') + 1) : null;
  if (dotted !== null) {
    const tail = parseIpv4(dotted);
    if (tail === null) return null;
    source = `${text.slice(0, text.length - dotted.length)}${(tail >>> 16).toString(16)}:${(tail & 0xffff).toString(16)}`;
  }
  const halves = source.split('::');
  const [head, tail] = halves;
  if (head === undefined || halves.length > 2) return null;
  const front = head === '' ? [] : head.split(':');
  const back = tail === undefined || tail === '' ? [] : tail.split(':');
  const missing = 8 - front.length - back.length;
  if (tail === undefined ? missing !== 0 : missing < 1) return null;
  let bits = 0n;
  for (const group of [...front, ...Array.from({ length: Math.max(missing, 0) }, () => '0'), ...back]) {
    if (!/^[0-9a-fA-F]{1,4}$/.test(group)) return null;
    bits = (bits << 16n) | BigInt(Number.parseInt(group, 16));
  }
  return bits;
}

function ipv4Text(bits: number): string {
  return [24, 16, 8, 0].map((shift) => (bits >>> shift) & 255).join('.');
}

/** RFC 5952: lower case, the longest run of zero groups shortened. */
function ipv6Text(bits: bigint): string {
  const groups = Array.from({ length: 8 }, (_, i) => Number((bits >> BigInt(112 - 16 * i)) & 0xffffn));
  let start = -1;
  let length = 1;
  for (let i = 0; i < 8; i++) {
    let run = 0;
    while (i + run < 8 && groups[i + run] === 0) run++;
    if (run > length) [start, length] = [i, run];
  }
  const hex = (part: readonly number[]) => part.map((group) => group.toString(16)).join(':');
  return start < 0 ? hex(groups) : `${hex(groups.slice(0, start))}::${hex(groups.slice(start + length))}`;
}
