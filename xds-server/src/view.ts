import { createListingKeeper, type Listing, type ListingKeeper } from './listing.ts';
import type { Stored } from './stored.ts';

/** Resources of one layer by type URL, then name. */
export type Layer = Map<string, Map<string, Stored>>;

/** Told which name changed, and what stood there before. */
export interface Watcher {
  readonly changed: (name: string, before: Stored | undefined) => void;
}

/** What the clients with one stack of layers see. */
export interface View {
  readonly layers: readonly string[];
  readonly lookup: (typeUrl: string, name: string) => Stored | undefined;
  readonly listing: (typeUrl: string) => Listing;
  /** Whether a name of this layer is what clients of this view get, were it set there. */
  readonly shows: (layer: string, typeUrl: string, name: string) => boolean;
  readonly watch: (typeUrl: string, watcher: Watcher) => void;
  readonly unwatch: (typeUrl: string, watcher: Watcher) => void;
  readonly changed: (typeUrl: string, name: string, before: Stored | undefined) => void;
}

/** A stack of layers, looked through from the last to the first; nothing is copied. */
export function createView(layers: readonly string[], layer: (name: string) => Layer | undefined): View {
  const topDown = [...layers].reverse();
  const listings = new Map<string, ListingKeeper>();
  const watchers = new Map<string, Set<Watcher>>();

  function lookup(typeUrl: string, name: string): Stored | undefined {
    for (const layerName of topDown) {
      const found = layer(layerName)?.get(typeUrl)?.get(name);
      if (found !== undefined) return found;
    }
    return undefined;
  }

  function everything(typeUrl: string): readonly Stored[] {
    const [only] = layers;
    if (only !== undefined && layers.length === 1) return [...(layer(only)?.get(typeUrl)?.values() ?? [])];
    const merged = new Map<string, Stored>();
    for (const layerName of layers) {
      for (const [name, item] of layer(layerName)?.get(typeUrl) ?? []) merged.set(name, item);
    }
    return [...merged.values()];
  }

  function listing(typeUrl: string): Listing {
    const keeper =
      listings.get(typeUrl) ??
      createListingKeeper(
        () => everything(typeUrl),
        (name) => lookup(typeUrl, name),
      );
    listings.set(typeUrl, keeper);
    return keeper.current();
  }

  return Object.freeze({
    layers,
    lookup,
    listing,
    shows: (layerName, typeUrl, name) => {
      for (const upper of topDown) {
        if (upper === layerName) return true;
        if (layer(upper)?.get(typeUrl)?.has(name) === true) return false;
      }
      return false;
    },
    watch: (typeUrl, watcher) => {
      const group = watchers.get(typeUrl) ?? new Set();
      watchers.set(typeUrl, group.add(watcher));
    },
    unwatch: (typeUrl, watcher) => {
      watchers.get(typeUrl)?.delete(watcher);
    },
    changed: (typeUrl, name, before) => {
      listings.get(typeUrl)?.changed(name);
      for (const watcher of watchers.get(typeUrl) ?? []) watcher.changed(name, before);
    },
  } satisfies View);
}
