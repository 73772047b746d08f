import { BinaryReader, BinaryWriter, WireType } from '@bufbuild/protobuf/wire';
import type { RequestLimits } from './limits.ts';
import type { Listing } from './listing.ts';
import type { Stored } from './stored.ts';

/**
 * What a client says it has after a reconnect, `initial_resource_versions`: thousands of names, most
 * of them right. Entries are matched by their bytes against what the view would say, and only those
 * that match nothing are decoded.
 */
export interface Claims {
  /** Whether there are any. */
  readonly some: boolean;
  /** Every name with its version. */
  readonly all: () => ReadonlyMap<string, string>;
  /** Which of a listing the client has at its present version, and the names that are otherwise. */
  readonly against: (listing: Listing) => ClaimMatch;
}

export interface ClaimMatch {
  /** By the listing's order: 1 for what the client has. */
  readonly current: Uint8Array;
  readonly others: ReadonlyMap<string, string>;
}

interface Known {
  readonly entry: Uint8Array;
  readonly index: number;
}

const indexes = new WeakMap<Listing, ReadonlyMap<number, Known>>();
const entries = new WeakMap<Stored, Uint8Array>();

/** Claims in runs of serialized map fields, as they stand in a request. */
export function claimsOf(runs: readonly Uint8Array[], limits: RequestLimits): Claims {
  return {
    some: runs.length > 0,
    all: () => new Map(runs.flatMap((run) => [...bodies(run)].map((body) => decoded(body, limits)))),
    against: (listing) => {
      const index = indexOf(listing);
      const current = new Uint8Array(listing.stored.length);
      const others = new Map<string, string>();
      for (const run of runs) {
        for (const body of bodies(run)) {
          const known = index.get(hashOf(body));
          if (known !== undefined && Buffer.compare(known.entry, body) === 0) current[known.index] = 1;
          else others.set(...decoded(body, limits));
        }
      }
      return { current, others };
    },
  };
}

export const noClaims: Claims = claimsOf([], { nameBytes: 0 });

function indexOf(listing: Listing): ReadonlyMap<number, Known> {
  const known = indexes.get(listing);
  if (known !== undefined) return known;
  const index = new Map(
    listing.stored.map((item, position) => {
      const entry = entryOf(item);
      return [hashOf(entry), { entry, index: position }] as const;
    }),
  );
  indexes.set(listing, index);
  return index;
}

function entryOf(item: Stored): Uint8Array {
  const known = entries.get(item);
  if (known !== undefined) return known;
  const entry = new BinaryWriter()
    .tag(1, WireType.LengthDelimited)
    .string(item.resource.name)
    .tag(2, WireType.LengthDelimited)
    .string(item.resource.version)
    .finish();
  entries.set(item, entry);
  return entry;
}

/** The bodies of length-delimited fields with one-byte tags. The reader of the request checked the lengths. */
function* bodies(run: Uint8Array): Generator<Uint8Array> {
  for (let at = 0; at < run.length; ) {
    at += 1;
    let length = 0;
    for (let shift = 0; ; shift += 7) {
      const byte = run[at] ?? 0;
      at += 1;
      length |= (byte & 0x7f) << shift;
      if (byte < 0x80) break;
    }
    yield run.subarray(at, at + length);
    at += length;
  }
}

/** 53 bits, so that a Map compares numbers; equal hashes are compared by content. */
function hashOf(bytes: Uint8Array): number {
  let high = 0x811c9dc5;
  let low = 0x9e3779b9;
  for (const byte of bytes) {
    high = Math.imul(high ^ byte, 0x01000193);
    low = Math.imul(low + byte, 0x85ebca6b) ^ (low >>> 15);
  }
  return (high >>> 11) * 0x1_0000_0000 + (low >>> 0);
}

function decoded(body: Uint8Array, limits: RequestLimits): [name: string, version: string] {
  const reader = new BinaryReader(body);
  let [name, version] = ['', ''];
  while (reader.pos < reader.len) {
    const [number, wireType] = reader.tag();
    if (number === 1) name = reader.string(true);
    else if (number === 2) version = reader.string(true);
    else reader.skip(wireType, number);
  }
  if (name.length > limits.nameBytes)
    throw new Error(`a resource name is longer than ${limits.nameBytes} bytes`);
  return [name, version];
}
