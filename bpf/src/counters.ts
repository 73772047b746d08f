import { u32, u64 } from './layout.ts';
import { type FdHandle, native } from './native.ts';
import { type Reason, reasons } from './reasons.ts';

/** Sums the per-CPU counters by the names of what they count. */
export function readCounters(counters: FdHandle): Readonly<Record<Reason, bigint>> {
  const key = new Uint8Array(u32.bytes);
  const cpus = new Uint8Array(native.mapInfo(counters).valueBytes);
  const sum = (code: number): bigint => {
    u32.write(new DataView(key.buffer), 0, code);
    if (!native.mapLookup(counters, key, cpus)) return 0n;
    const view = new DataView(cpus.buffer);
    let total = 0n;
    for (let at = 0; at < cpus.length; at += u64.bytes) total += u64.read(view, at);
    return total;
  };
  return Object.freeze(
    Object.fromEntries(Object.entries(reasons).map(([name, code]) => [name, sum(code)])),
  ) as Readonly<Record<Reason, bigint>>;
}
