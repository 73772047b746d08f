import type { Variant } from './events.ts';
import type { Held } from './held.ts';
import type { Batch, Ledger } from './ledger.ts';
import { type Listing, versionOf } from './listing.ts';
import { entryBytes, type Stored } from './stored.ts';
import type { View } from './view.ts';

/** The content of one response, and what of its batch goes another way. */
export interface Composed {
  /** The batch as it goes out. */
  readonly batch: Batch;
  readonly stored: readonly Stored[];
  readonly removed: readonly string[];
  readonly version: string;
  /** Names that did not fit this response. */
  readonly rest: readonly string[];
  /** Resources that fit no response at all. */
  readonly oversize: readonly { readonly item: Stored; readonly held: Held }[];
}

const nothingHeld: Held = Object.freeze({ kind: 'nothing' });

/** Delta, and the types that state-of-the-world sends piece by piece: only what the batch names. */
export function composePart(
  view: View,
  typeUrl: string,
  limitBytes: number,
  batch: Batch,
  variant: Variant,
): Composed {
  const part =
    batch.kind === 'fresh'
      ? freshPart(batch, limitBytes)
      : namedPart(batch, (name) => view.lookup(typeUrl, name), limitBytes);
  // State-of-the-world cannot say that something of these types is gone.
  return variant === 'delta'
    ? { ...part, version: '' }
    : { ...part, removed: [], version: versionOf(part.stored) };
}

/** State-of-the-world's listeners and clusters: everything, with all that is not under test as it was. */
export function composeAll(
  view: View,
  typeUrl: string,
  limitBytes: number,
  batch: Batch,
  ledger: Ledger,
): Composed {
  const { wildcard, names } = ledger.subscription();
  const kept = ledger.exceptions(batch);
  const listing: Listing = view.listing(typeUrl);
  const under = batch.kind === 'names' || batch.kind === 'suspects' ? batch.before : null;
  const current = wildcard ? listing.stored : [...names].flatMap((name) => view.lookup(typeUrl, name) ?? []);
  const oversize =
    listing.largestBytes <= limitBytes
      ? []
      : current.filter((item) => entryBytes(item) > limitBytes && !kept.has(item.resource.name));
  const stored =
    kept.size === 0 && oversize.length === 0
      ? current
      : [
          ...current.filter((item) => !kept.has(item.resource.name) && !oversize.includes(item)),
          ...[...kept.values()].flatMap((held) => (held.kind === 'stored' ? [held] : [])),
        ];
  const version = stored === listing.stored ? listing.version : versionOf(stored);
  return {
    batch,
    stored,
    removed: [],
    version,
    rest: [],
    oversize: oversize.map((item) => ({ item, held: under?.get(item.resource.name) ?? nothingHeld })),
  };
}

type Part = Omit<Composed, 'version'>;

function freshPart(batch: Extract<Batch, { kind: 'fresh' }>, limitBytes: number): Part {
  const { chunk, without } = batch;
  const stored =
    without.size === 0 ? chunk.stored : chunk.stored.filter((item) => !without.has(item.resource.name));
  const [only] = stored;
  // The chunker leaves a resource that is too large alone in its chunk.
  if (only !== undefined && stored.length === 1 && entryBytes(only) > limitBytes) {
    return { batch, stored: [], removed: [], rest: [], oversize: [{ item: only, held: nothingHeld }] };
  }
  return { batch, stored, removed: [], rest: [], oversize: [] };
}

function namedPart(
  batch: Exclude<Batch, { kind: 'fresh' }>,
  lookup: (name: string) => Stored | undefined,
  limitBytes: number,
): Part {
  if (batch.kind === 'empty') return { batch, stored: [], removed: [], rest: [], oversize: [] };
  const stored: Stored[] = [];
  const removed: string[] = [];
  const rest: string[] = [];
  const oversize: { item: Stored; held: Held }[] = [];
  let bytes = 0;
  for (const [name, held] of batch.before) {
    const item = lookup(name);
    const size = item === undefined ? name.length + 8 : entryBytes(item);
    if (item !== undefined && size > limitBytes) oversize.push({ item, held });
    else if (bytes + size > limitBytes) rest.push(name);
    else {
      bytes += size;
      if (item === undefined) removed.push(name);
      else stored.push(item);
    }
  }
  if (rest.length === 0 && oversize.length === 0) return { batch, stored, removed, rest, oversize };
  const before = new Map(batch.before);
  for (const name of rest) before.delete(name);
  for (const { item } of oversize) before.delete(item.resource.name);
  return { batch: { kind: batch.kind, before }, stored, removed, rest, oversize };
}
