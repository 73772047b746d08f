import type { TypedMap } from '@weir/bpf';

/** What has to change in a kernel map. */
export interface MapDiff<Key, Value> {
  /** Entries under keys that were not there. */
  readonly add: readonly (readonly [Key, Value])[];
  /** Entries whose value differs. */
  readonly change: readonly (readonly [Key, Value])[];
  readonly remove: readonly Key[];
}

/**
 * What a kernel map is known to hold, so that only differences are written. It is the only writer
 * of its map; what it holds changes only after the kernel has taken the write.
 */
export interface Mirror<Key, Value> {
  diff(desired: Iterable<readonly [Key, Value]>): MapDiff<Key, Value>;
  write(entries: readonly (readonly [Key, Value])[]): void;
  remove(keys: readonly Key[]): void;
  keys(): IterableIterator<Key>;
  values(): IterableIterator<Value>;
}

/**
 * Mirrors `map`, whose present entries are read now. `name` gives a text that two keys share exactly
 * when they are equal; `same` compares values.
 */
export function mirrorMap<Key, Value>(
  map: Pick<TypedMap<Key, Value>, 'entries' | 'setBatch' | 'deleteBatch'>,
  name: (key: Key) => string,
  same: (left: Value, right: Value) => boolean,
): Mirror<Key, Value> {
  const held = new Map<string, readonly [Key, Value]>();
  for (const entry of map.entries()) held.set(name(entry[0]), entry);

  return {
    diff(desired) {
      const add: (readonly [Key, Value])[] = [];
      const change: (readonly [Key, Value])[] = [];
      const wanted = new Set<string>();
      for (const entry of desired) {
        const key = name(entry[0]);
        wanted.add(key);
        const had = held.get(key);
        if (had === undefined) add.push(entry);
        else if (!same(had[1], entry[1])) change.push(entry);
      }
      const remove = [...held].flatMap(([key, [kernelKey]]) => (wanted.has(key) ? [] : [kernelKey]));
      return { add, change, remove };
    },
    write(entries) {
      if (entries.length === 0) return;
      map.setBatch(entries);
      for (const entry of entries) held.set(name(entry[0]), entry);
    },
    remove(keys) {
      if (keys.length === 0) return;
      map.deleteBatch(keys);
      for (const key of keys) held.delete(name(key));
    },
    *keys() {
      for (const [key] of held.values()) yield key;
    },
    *values() {
      for (const [, value] of held.values()) yield value;
    },
  };
}
