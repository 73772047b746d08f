import { type Run, runsOf } from './runs.ts';
import type { Stored } from './stored.ts';

/** Encodes a list of resources as bytes that follow each other. */
export type Blocks = (stored: readonly Stored[]) => readonly Uint8Array[];

interface Block {
  readonly run: Run;
  readonly bytes: Uint8Array;
}

/** A list below this is encoded as it is: who needs it again finds the whole response (encoder.ts). */
const shortItems = 64;

/**
 * Encodes lists run by run, and remembers the bytes of a run for as long as it lives: where one of
 * 10,000 resources has changed, one run is encoded anew. A run of equal content in another list is found by
 * its first resource. `headOf` is what stands before a resource's value.
 */
export function createBlocks(headOf: (item: Stored) => Uint8Array): Blocks {
  const byRun = new WeakMap<Run, Uint8Array>();
  const byFirst = new WeakMap<Stored, Block>();

  function encoded(run: Run): Uint8Array {
    let size = 0;
    for (const item of run) size += headOf(item).length + item.resource.value.length;
    const bytes = Buffer.allocUnsafeSlow(size);
    let at = 0;
    for (const item of run) {
      const head = headOf(item);
      const { value } = item.resource;
      bytes.set(head, at);
      bytes.set(value, at + head.length);
      at += head.length + value.length;
    }
    return bytes;
  }

  function block(run: Run): Uint8Array {
    const [first] = run;
    const before = first === undefined ? undefined : byFirst.get(first);
    const bytes = before !== undefined && sameItems(before.run, run) ? before.bytes : encoded(run);
    byRun.set(run, bytes);
    if (first !== undefined) byFirst.set(first, { run, bytes });
    return bytes;
  }

  return (stored) =>
    stored.length < shortItems
      ? [encoded(stored)]
      : runsOf(stored).map((run) => byRun.get(run) ?? block(run));
}

function sameItems(one: Run, other: Run): boolean {
  return one.length === other.length && one.every((item, index) => item === other[index]);
}
