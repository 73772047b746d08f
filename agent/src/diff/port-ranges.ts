import type { TableEntry } from '@weir/l7-policy';

/** Ports of one protocol, inclusive; types for ICMP. */
export interface PortRange {
  readonly protocol: number;
  readonly low: number;
  readonly high: number;
}

const names: Readonly<Record<number, string>> = { 1: 'ICMP', 6: 'TCP', 17: 'UDP', 58: 'ICMPv6', 132: 'SCTP' };
/** Protocols whose ports or types policies can tell apart. */
export const protocols: readonly number[] = [6, 17, 132, 1, 58];

/** Cuts the ports of a protocol where an entry begins or ends: inside a piece every port has the same verdict. */
export function pieces(protocol: number, entries: readonly TableEntry[]): readonly PortRange[] {
  const top = protocol === 1 || protocol === 58 ? 255 : 65_535;
  const cuts = new Set([0]);
  for (const entry of entries) {
    if (entry.protocol !== protocol) continue;
    const size = 2 ** (16 - entry.portPrefixLength);
    const low = entry.port - (entry.port % size);
    if (low <= top) cuts.add(low);
    if (low + size <= top) cuts.add(low + size);
  }
  const lows = [...cuts].sort((a, b) => a - b);
  return lows.map((low, index) => ({ protocol, low, high: (lows[index + 1] ?? top + 1) - 1 }));
}

/** Joins neighbours for which `same` holds. */
export function joined<Item extends { readonly range: PortRange }>(
  items: readonly Item[],
  same: (a: Item, b: Item) => boolean,
): readonly Item[] {
  const result: Item[] = [];
  for (const item of items) {
    const last = result.at(-1);
    if (
      last !== undefined &&
      last.range.protocol === item.range.protocol &&
      last.range.high + 1 === item.range.low &&
      same(last, item)
    ) {
      result[result.length - 1] = { ...last, range: { ...last.range, high: item.range.high } };
    } else result.push(item);
  }
  return result;
}

/** `80/TCP`, `1024-65535/UDP`, `any/TCP`. */
export function portText({ protocol, low, high }: PortRange): string {
  const top = protocol === 1 || protocol === 58 ? 255 : 65_535;
  const ports = low === 0 && high === top ? 'any' : low === high ? String(low) : `${low}-${high}`;
  return `${ports}/${names[protocol] ?? protocol}`;
}
