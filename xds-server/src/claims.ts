import { BinaryReader } from '@bufbuild/protobuf/wire';
import { claimIndex, placeOf } from './claim-index.ts';
import { eachBody } from './fields.ts';
import type { RequestLimits } from './limits.ts';
import type { Listing } from './listing.ts';

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

/** Claims in runs of serialized map fields, as they stand in a request (fields.ts). */
export function claimsOf(runs: readonly Uint8Array[], limits: RequestLimits): Claims {
  return {
    some: runs.length > 0,
    all: () => {
      const versions = new Map<string, string>();
      for (const run of runs)
        eachBody(run, (from, to) => versions.set(...decoded(run.subarray(from, to), limits)));
      return versions;
    },
    against: (listing) => {
      const index = claimIndex(listing);
      const current = new Uint8Array(listing.stored.length);
      const others = new Map<string, string>();
      for (const run of runs) {
        const view = new DataView(run.buffer, run.byteOffset, run.byteLength);
        eachBody(run, (from, to) => {
          const place = placeOf(index, view, from, to);
          if (place >= 0) current[place] = 1;
          else others.set(...decoded(run.subarray(from, to), limits));
        });
      }
      return { current, others };
    },
  };
}

export const noClaims: Claims = claimsOf([], { nameBytes: 0 });

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
