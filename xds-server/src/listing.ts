import { follows } from './runs.ts';
import { entryBytes, type Stored } from './stored.ts';

/** Everything that a view holds of one type. The same value until something changes. */
export interface Listing {
  readonly stored: readonly Stored[];
  /** Sixteen hex digits that follow from the content; state-of-the-world sends them as `version_info`. */
  readonly version: string;
  /** No entry of it is larger than this. */
  readonly largestBytes: number;
}

/** Keeps a listing up to date: what has not changed keeps its place, and is not looked at again. */
export interface ListingKeeper {
  readonly current: () => Listing;
  readonly changed: (name: string) => void;
}

/** Sums of digests, in two halves. */
type Sum = readonly [high: number, low: number];

/** `all` lists everything from nothing, `lookup` finds what a name stands for now. */
export function createListingKeeper(
  all: () => readonly Stored[],
  lookup: (name: string) => Stored | undefined,
): ListingKeeper {
  let stored = all();
  let places = new Map(stored.map((item, place) => [item.resource.name, place]));
  let sum = sumOf(stored);
  let largestBytes = largestOf(stored);
  let listing = listingOf();
  const stale = new Set<string>();

  function rebuild(): void {
    stored = all();
    places = new Map(stored.map((item, place) => [item.resource.name, place]));
    sum = sumOf(stored);
    largestBytes = largestOf(stored);
  }

  function patch(): void {
    const next = [...stored];
    const touched: number[] = [];
    for (const name of stale) {
      const place = places.get(name);
      const before = place === undefined ? undefined : next[place];
      const after = lookup(name);
      if (before !== undefined) sum = minus(sum, before.digest);
      if (after !== undefined) {
        sum = plus(sum, after.digest);
        largestBytes = Math.max(largestBytes, entryBytes(after));
        places.set(name, place ?? next.length);
        touched.push(place ?? next.length);
        next[place ?? next.length] = after;
        continue;
      }
      if (place === undefined) continue;
      places.delete(name);
      // The last one moves into the gap, so that all others keep their place.
      const last = next.pop();
      touched.push(place, next.length);
      if (last === undefined || place === next.length) continue;
      next[place] = last;
      places.set(last.resource.name, place);
    }
    follows(next, stored, touched);
    stored = next;
  }

  function listingOf(): Listing {
    return Object.freeze({ stored, version: versionText(sum), largestBytes });
  }

  return {
    current: () => {
      if (stale.size === 0) return listing;
      if (stale.size > stored.length / 2) rebuild();
      else patch();
      stale.clear();
      listing = listingOf();
      return listing;
    },
    changed: (name) => {
      stale.add(name);
    },
  };
}

function largestOf(stored: readonly Stored[]): number {
  return stored.reduce((most, item) => Math.max(most, entryBytes(item)), 0);
}

/** The version of a set of resources: their digests summed up, so that order does not matter. */
export function versionOf(items: readonly Stored[]): string {
  return versionText(sumOf(items));
}

function sumOf(items: readonly Stored[]): Sum {
  let high = 0;
  let low = 0;
  for (const { digest } of items) {
    high = (high + digest[0]) >>> 0;
    low = (low + digest[1]) >>> 0;
  }
  return [high, low];
}

function plus([high, low]: Sum, [moreHigh, moreLow]: Sum): Sum {
  return [(high + moreHigh) >>> 0, (low + moreLow) >>> 0];
}

function minus([high, low]: Sum, [lessHigh, lessLow]: Sum): Sum {
  return [(high - lessHigh) >>> 0, (low - lessLow) >>> 0];
}

function versionText([high, low]: Sum): string {
  return high.toString(16).padStart(8, '0') + low.toString(16).padStart(8, '0');
}
