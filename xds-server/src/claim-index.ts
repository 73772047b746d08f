import type { Listing } from './listing.ts';
import { fieldBytes, writeText } from './wire.ts';

/**
 * The entries of `initial_resource_versions` that a client with all of a listing would send, and a hash
 * table over them: thousands of entries a request are found by their bytes, without an object for each.
 */
export interface ClaimIndex {
  readonly entries: DataView;
  /** Where the entry of each place in the listing begins, and the end. */
  readonly starts: Uint32Array;
  /** Place and one, at the slot of its hash or the next free one after it; 0: free. */
  readonly slots: Uint32Array;
}

const indexes = new WeakMap<Listing, ClaimIndex>();

/** Made once for a listing. */
export function claimIndex(listing: Listing): ClaimIndex {
  const known = indexes.get(listing);
  if (known !== undefined) return known;
  const index = indexOf(listing);
  indexes.set(listing, index);
  return index;
}

/** The place whose entry is these bytes, or -1. */
export function placeOf(
  { entries, starts, slots }: ClaimIndex,
  run: DataView,
  from: number,
  to: number,
): number {
  const mask = slots.length - 1;
  for (let slot = hashOf(run, from, to) & mask; ; slot = (slot + 1) & mask) {
    const place = (slots[slot] ?? 0) - 1;
    if (place < 0) return -1;
    const start = starts[place] ?? 0;
    if ((starts[place + 1] ?? 0) - start === to - from && sameBytes(entries, start, run, from, to))
      return place;
  }
}

function indexOf({ stored }: Listing): ClaimIndex {
  const lengths = stored.map(({ resource }) => ({
    name: Buffer.byteLength(resource.name),
    version: Buffer.byteLength(resource.version),
  }));
  const bytes = Buffer.allocUnsafeSlow(
    lengths.reduce((sum, { name, version }) => sum + fieldBytes(name) + fieldBytes(version), 0),
  );
  const entries = new DataView(bytes.buffer);
  const starts = new Uint32Array(stored.length + 1);
  const slots = new Uint32Array(2 ** Math.ceil(Math.log2(2 * stored.length + 1)));
  let at = 0;
  stored.forEach(({ resource }, place) => {
    const start = at;
    at = writeText(bytes, at, 1, resource.name, lengths[place]?.name ?? 0);
    at = writeText(bytes, at, 2, resource.version, lengths[place]?.version ?? 0);
    starts[place + 1] = at;
    let slot = hashOf(entries, start, at) & (slots.length - 1);
    while (slots[slot] !== 0) slot = (slot + 1) & (slots.length - 1);
    slots[slot] = place + 1;
  });
  return { entries, starts, slots };
}

function hashOf(bytes: DataView, from: number, to: number): number {
  let hash = to - from;
  let at = from;
  for (; at + 4 <= to; at += 4) hash = mixed(hash, bytes.getInt32(at, true));
  for (; at < to; at += 1) hash = mixed(hash, bytes.getUint8(at));
  return hash >>> 0;
}

function mixed(hash: number, word: number): number {
  const product = Math.imul(hash ^ word, 0x9e3779b1);
  return product ^ (product >>> 15);
}

function sameBytes(entries: DataView, start: number, run: DataView, from: number, to: number): boolean {
  const shift = start - from;
  let at = from;
  for (; at + 4 <= to; at += 4) if (run.getInt32(at) !== entries.getInt32(at + shift)) return false;
  for (; at < to; at += 1) if (run.getUint8(at) !== entries.getUint8(at + shift)) return false;
  return true;
}
