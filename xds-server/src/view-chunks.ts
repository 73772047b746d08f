import type { Listing } from './listing.ts';
import { entryBytes, type Stored } from './stored.ts';

/** A part of a listing that fits one response. The same value for every stream, so that its bytes are too. */
export interface Chunk {
  readonly stored: readonly Stored[];
  readonly names: () => ReadonlySet<string>;
}

/**
 * Parts a listing into responses of at most `bytes`. A resource that does not fit stands alone.
 * Remembered for as long as the listing lives.
 */
export function createChunker(bytes: number): (listing: Listing) => readonly Chunk[] {
  const known = new WeakMap<Listing, readonly Chunk[]>();
  return (listing) => {
    const before = known.get(listing);
    if (before !== undefined) return before;
    const chunks = parts(listing.stored, bytes).map(chunk);
    known.set(listing, chunks);
    return chunks;
  };
}

/** Everything in one, for state-of-the-world. */
export function createWhole(): (listing: Listing) => readonly Chunk[] {
  const known = new WeakMap<Listing, readonly Chunk[]>();
  return (listing) => {
    const whole = known.get(listing) ?? (listing.stored.length === 0 ? [] : [chunk(listing.stored)]);
    known.set(listing, whole);
    return whole;
  };
}

function chunk(stored: readonly Stored[]): Chunk {
  let names: ReadonlySet<string> | null = null;
  return {
    stored,
    names: () => {
      names ??= new Set(stored.map((item) => item.resource.name));
      return names;
    },
  };
}

function parts(items: readonly Stored[], limit: number): readonly (readonly Stored[])[] {
  const done: Stored[][] = [];
  let current: Stored[] = [];
  let size = 0;
  for (const item of items) {
    const itemBytes = entryBytes(item);
    if (size + itemBytes > limit && current.length > 0) {
      done.push(current);
      current = [];
      size = 0;
    }
    current.push(item);
    size += itemBytes;
  }
  return current.length === 0 ? done : [...done, current];
}
