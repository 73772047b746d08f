import type { Stored } from './stored.ts';

/** Encodes a list of resources as bytes that follow each other. */
export type Blocks = (stored: readonly Stored[]) => readonly Uint8Array[];

interface Block {
  readonly items: readonly Stored[];
  readonly bytes: Uint8Array;
}

/** Resources in one block. */
const blockItems = 64;

/**
 * Encodes long lists in blocks that are remembered for as long as their first resource lives: where
 * one of 10,000 resources has changed, one block is encoded anew and the others are the same bytes.
 * `headOf` is what stands before a resource's value.
 */
export function createBlocks(headOf: (item: Stored) => Uint8Array): Blocks {
  const known = new WeakMap<Stored, Block>();

  function encoded(items: readonly Stored[]): Uint8Array {
    return Buffer.concat(items.flatMap((item) => [headOf(item), item.resource.value]));
  }

  return (stored) => {
    if (stored.length < blockItems) return [encoded(stored)];
    const blocks: Uint8Array[] = [];
    for (let from = 0; from < stored.length; from += blockItems) {
      const count = Math.min(blockItems, stored.length - from);
      const first = stored[from];
      const before = first === undefined ? undefined : known.get(first);
      if (before !== undefined && before.items.length === count && sameRun(before.items, stored, from)) {
        blocks.push(before.bytes);
        continue;
      }
      const items = stored.slice(from, from + count);
      const bytes = encoded(items);
      if (first !== undefined) known.set(first, { items, bytes });
      blocks.push(bytes);
    }
    return blocks;
  };
}

function sameRun(items: readonly Stored[], stored: readonly Stored[], from: number): boolean {
  for (let index = 0; index < items.length; index += 1) {
    if (items[index] !== stored[from + index]) return false;
  }
  return true;
}
