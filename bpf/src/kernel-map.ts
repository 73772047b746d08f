import { BpfError } from './bpf-error.ts';
import { type FdHandle, native } from './native.ts';
import type { TypedMap } from './typed-map.ts';

/** How one type of key or value is laid out; `bytes` must be what the map was made with. */
export interface Codec<Value> {
  readonly bytes: number;
  read(view: DataView, offset: number): Value;
  write(view: DataView, offset: number, value: Value): void;
}

const batchEntries = 4096;

/** A typed face on a hash, LRU or LPM map. Throws BpfError `ELAYOUT` when the map's sizes are not the codecs'. */
export function kernelMap<Key, Value>(
  handle: FdHandle,
  name: string,
  keys: Codec<Key>,
  values: Codec<Value>,
): TypedMap<Key, Value> {
  const info = native.mapInfo(handle);
  if (info.keyBytes !== keys.bytes || info.valueBytes !== values.bytes) {
    throw new BpfError('ELAYOUT', `use map ${name}`, `it has other sizes than this build expects`);
  }

  const encode = <Item>(codec: Codec<Item>, items: readonly Item[]): Uint8Array => {
    const bytes = new Uint8Array(items.length * codec.bytes);
    const view = new DataView(bytes.buffer);
    items.forEach((item, index) => {
      codec.write(view, index * codec.bytes, item);
    });
    return bytes;
  };

  return Object.freeze({
    name,
    maxEntries: info.maxEntries,
    get(key: Key): Value | undefined {
      const value = new Uint8Array(values.bytes);
      if (!native.mapLookup(handle, encode(keys, [key]), value)) return undefined;
      return values.read(new DataView(value.buffer), 0);
    },
    set(key: Key, value: Value): void {
      native.mapUpdate(handle, encode(keys, [key]), encode(values, [value]), 0);
    },
    delete(key: Key): boolean {
      return native.mapDelete(handle, encode(keys, [key]));
    },
    setBatch(entries: Iterable<readonly [Key, Value]>): void {
      for (const chunk of chunks(entries)) {
        const keyBytes = encode(
          keys,
          chunk.map(([key]) => key),
        );
        const valueBytes = encode(
          values,
          chunk.map(([, value]) => value),
        );
        native.mapUpdateBatch(handle, keyBytes, valueBytes, chunk.length);
      }
    },
    deleteBatch(absentOrNot: Iterable<Key>): number {
      let deleted = 0;
      for (const chunk of chunks(absentOrNot)) {
        const bytes = encode(keys, chunk);
        // The kernel stops at the first absent key: go on behind it.
        for (let at = 0; at < chunk.length; at += 1) {
          const done = native.mapDeleteBatch(handle, bytes.subarray(at * keys.bytes), chunk.length - at);
          deleted += done;
          at += done;
        }
      }
      return deleted;
    },
    *entries(): IterableIterator<readonly [Key, Value]> {
      const cursor = new Uint8Array(Math.max(4, keys.bytes));
      let resumed: 0 | 1 = 0;
      let room = Math.min(batchEntries, info.maxEntries);
      for (;;) {
        const keyBytes = new Uint8Array(room * keys.bytes);
        const valueBytes = new Uint8Array(room * values.bytes);
        let read: { count: number; done: boolean };
        try {
          read = native.mapLookupBatch(handle, cursor, resumed, keyBytes, valueBytes, room);
        } catch (error) {
          if (!(error instanceof BpfError && error.code === 'ENOSPC' && room < info.maxEntries)) throw error;
          // One hash bucket is longer than the room.
          room = Math.min(room * 2, info.maxEntries);
          continue;
        }
        const keyView = new DataView(keyBytes.buffer);
        const valueView = new DataView(valueBytes.buffer);
        for (let index = 0; index < read.count; index += 1) {
          yield [keys.read(keyView, index * keys.bytes), values.read(valueView, index * values.bytes)];
        }
        if (read.done) return;
        resumed = 1;
      }
    },
  });
}

/** The same face on an array map: every index exists, and a value that `isAbsent` counts as not there. */
export function kernelArray<Key, Value>(
  handle: FdHandle,
  name: string,
  keys: Codec<Key>,
  values: Codec<Value>,
  isAbsent: (value: Value) => boolean,
): TypedMap<Key, Value> {
  const map = kernelMap(handle, name, keys, values);
  const zeros = new Uint8Array(values.bytes);
  const get = (key: Key): Value | undefined => {
    const value = map.get(key);
    return value === undefined || isAbsent(value) ? undefined : value;
  };
  const remove = (key: Key): boolean => {
    if (get(key) === undefined) return false;
    const bytes = new Uint8Array(keys.bytes);
    keys.write(new DataView(bytes.buffer), 0, key);
    native.mapUpdate(handle, bytes, zeros, 0);
    return true;
  };
  return Object.freeze({
    ...map,
    get,
    delete: remove,
    deleteBatch(all: Iterable<Key>): number {
      let deleted = 0;
      for (const key of all) if (remove(key)) deleted += 1;
      return deleted;
    },
    *entries(): IterableIterator<readonly [Key, Value]> {
      for (const entry of map.entries()) if (!isAbsent(entry[1])) yield entry;
    },
  });
}

function* chunks<Item>(items: Iterable<Item>): Generator<Item[]> {
  let chunk: Item[] = [];
  for (const item of items) {
    chunk.push(item);
    if (chunk.length === batchEntries) {
      yield chunk;
      chunk = [];
    }
  }
  if (chunk.length > 0) yield chunk;
}
