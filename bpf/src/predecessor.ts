import { kernelArray, kernelMap } from './kernel-map.ts';
import { type FdHandle, type MapField, native } from './native.ts';
import { mapsIn } from './pin-folder.ts';

/** What a build with another layout left in force; its programs go on over its maps until they are replaced. */
export interface Predecessor {
  /** Tells its programs from those of others. */
  readonly conntrackId: number | undefined;
  readonly ipcacheEpoch: number;
  /**
   * Copies a map into this build's map of that name, field by field: by name, where the sizes are equal, and zeros
   * where it knows no such field. Entries that are there already stay. Nothing is copied when the keys differ.
   */
  carry(name: string, into: FdHandle): void;
  close(): void;
}

/** Opens the maps in a folder that another build pinned. */
export function openPredecessor(folder: string): Predecessor {
  const maps = mapsIn(folder);
  const conntrack = maps.get('conntrack');
  return Object.freeze({
    conntrackId: conntrack === undefined ? undefined : native.mapInfo(conntrack).id,
    ipcacheEpoch: epochOf(maps.get('state')),
    carry(name: string, into: FdHandle): void {
      const from = maps.get(name);
      if (from !== undefined) copyEntries(from, into, name);
    },
    close(): void {
      for (const handle of maps.values()) native.close(handle);
    },
  });
}

const bytesOf = (bytes: number) => ({
  bytes,
  read: (view: DataView, offset: number) => new Uint8Array(view.buffer, view.byteOffset + offset, bytes),
  write: (view: DataView, offset: number, value: Uint8Array) =>
    new Uint8Array(view.buffer, view.byteOffset + offset, bytes).set(value),
});

function epochOf(state: FdHandle | undefined): number {
  if (state === undefined) return 0;
  const field = native.mapFields(state).value.find(({ name }) => name === 'ipcache_epoch');
  const { keyBytes, valueBytes } = native.mapInfo(state);
  const value = kernelArray(state, 'state', bytesOf(keyBytes), bytesOf(valueBytes), () => false).get(
    new Uint8Array(keyBytes),
  );
  if (field === undefined || value === undefined) return 0;
  return new DataView(value.buffer, value.byteOffset).getUint32(field.offset, true);
}

function copyEntries(from: FdHandle, into: FdHandle, name: string): void {
  const [old, now] = [native.mapFields(from), native.mapFields(into)];
  const keys = sameFields(old.key, now.key);
  const values = sameFields(old.value, now.value);
  if (keys.length < now.key.length || now.key.length === 0) return;
  const [oldInfo, nowInfo] = [native.mapInfo(from), native.mapInfo(into)];
  const source = kernelMap(from, name, bytesOf(oldInfo.keyBytes), bytesOf(oldInfo.valueBytes));
  const target = kernelMap(into, name, bytesOf(nowInfo.keyBytes), bytesOf(nowInfo.valueBytes));
  const present = new Set([...target.entries()].map(([key]) => Buffer.from(key).toString('latin1')));
  target.setBatch(
    (function* entries() {
      for (const [key, value] of source.entries()) {
        const copiedKey = copyFields(key, nowInfo.keyBytes, keys);
        if (present.has(Buffer.from(copiedKey).toString('latin1'))) continue;
        yield [copiedKey, copyFields(value, nowInfo.valueBytes, values)] as const;
      }
    })(),
  );
}

type Copy = readonly [from: MapField, to: MapField];

function sameFields(old: readonly MapField[], now: readonly MapField[]): readonly Copy[] {
  const byName = new Map(old.map((field) => [field.name, field]));
  return now.flatMap((to): readonly Copy[] => {
    const from = byName.get(to.name);
    return from?.size === to.size ? [[from, to]] : [];
  });
}

function copyFields(from: Uint8Array, bytes: number, fields: readonly Copy[]): Uint8Array {
  const copy = new Uint8Array(bytes);
  for (const [old, now] of fields) copy.set(from.subarray(old.offset, old.offset + old.size), now.offset);
  return copy;
}
