import type { PolicyDirection } from './datapath-maps.ts';
import { kernelMap } from './kernel-map.ts';
import { u32, u64 } from './layout.ts';
import { codes, layouts } from './layouts.ts';
import { type FdHandle, native } from './native.ts';
import { type Ifindex, ifindex } from './numbers.ts';
import { type Reason, reasonName, reasons } from './reasons.ts';

/** Packets of one workload that came to one end: each drop, and the first packet of what was let in or redirected. */
export interface Outcome {
  readonly ifindex: Ifindex;
  readonly direction: PolicyDirection;
  readonly reason: Reason;
  readonly packets: bigint;
}

/** Sums the per-CPU counters by the names of what they count. */
export function readCounters(counters: FdHandle): Readonly<Record<Reason, bigint>> {
  return sumCounters(counters, reasons);
}

/** Sums the counters of a per-CPU array, each under the name of its index. */
export function sumCounters<Name extends string>(
  counters: FdHandle,
  names: Readonly<Record<Name, number>>,
): Readonly<Record<Name, bigint>> {
  const key = new Uint8Array(u32.bytes);
  const cpus = new Uint8Array(native.mapInfo(counters).valueBytes);
  const sum = (code: number): bigint => {
    u32.write(new DataView(key.buffer), 0, code);
    return native.mapLookup(counters, key, cpus) ? sumOfCpus(new DataView(cpus.buffer)) : 0n;
  };
  return Object.freeze(
    Object.fromEntries(Object.entries<number>(names).map(([name, code]) => [name, sum(code)])),
  ) as Readonly<Record<Name, bigint>>;
}

/** Reads the outcomes of every workload since its programs were attached. */
export function readOutcomes(outcomes: FdHandle): readonly Outcome[] {
  return [...outcomeMap(outcomes).entries()].flatMap(([key, packets]) => {
    const reason = reasonName(key.reason);
    if (reason === undefined) return [];
    const direction = key.direction === codes.direction.egress ? 'egress' : 'ingress';
    return [{ ifindex: ifindex(key.ifindex), direction, reason, packets }];
  });
}

/** Forgets the outcomes of an interface. */
export function forgetOutcomes(outcomes: FdHandle, interfaceNumber: Ifindex): void {
  const map = outcomeMap(outcomes);
  const keys = [...map.entries()].map(([key]) => key);
  map.deleteBatch(keys.filter((key) => key.ifindex === interfaceNumber));
}

function outcomeMap(outcomes: FdHandle) {
  const bytes = native.mapInfo(outcomes).valueBytes;
  return kernelMap(outcomes, 'outcomes', layouts.outcomeKey, {
    bytes,
    read: (view, offset) => sumOfCpus(new DataView(view.buffer, view.byteOffset + offset, bytes)),
    write: () => undefined,
  });
}

function sumOfCpus(view: DataView): bigint {
  let total = 0n;
  for (let at = 0; at < view.byteLength; at += u64.bytes) total += u64.read(view, at);
  return total;
}
