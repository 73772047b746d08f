import { existsSync, mkdirSync, readdirSync, rmdirSync, statfsSync, unlinkSync } from 'node:fs';
import { join } from 'node:path';
import { BpfError } from './bpf-error.ts';
import { kernelArray } from './kernel-map.ts';
import { u32 } from './layout.ts';
import { layouts, layoutVersion } from './layouts.ts';
import { type FdHandle, native } from './native.ts';

const bpffsMagic = 0xcafe4a11;

/** Where the maps of one instance are pinned. */
export interface PinFolder {
  readonly path: string;
  /** Maps of an earlier process, by name, and how many entries each can hold. */
  readonly found: ReadonlyMap<string, number>;
}

/**
 * Finds or makes `<bpffs>/weir/<instance>`. Throws BpfError: `ENOTSUP` when no bpffs is mounted there, `ELAYOUT` when
 * what is pinned there belongs to another layout.
 */
export function openPinFolder(bpffs: string, instance: string): PinFolder {
  if (!/^[\w-]{1,64}$/.test(instance)) {
    throw new RangeError(`instance ${instance} must be 1 to 64 letters, digits, - and _`);
  }
  if (!existsSync(bpffs) || statfsSync(bpffs).type !== bpffsMagic) {
    throw new BpfError('ENOTSUP', `use ${bpffs}`, `no bpffs there: mount -t bpf bpf ${bpffs}`);
  }
  const path = join(bpffs, 'weir', instance);
  mkdirSync(path, { recursive: true, mode: 0o700 });
  const found = new Map<string, number>();
  for (const name of readdirSync(path)) {
    const handle = native.openPinned(join(path, name));
    try {
      found.set(name, native.mapInfo(handle).maxEntries);
      if (name === 'state')
        checkLayout(path, kernelArray(handle, name, u32, layouts.state, () => false).get(0)?.layout);
    } finally {
      native.close(handle);
    }
  }
  return Object.freeze({ path, found });
}

/**
 * Opens every map that the instance has pinned, by name; the caller closes them. Throws BpfError: `ENOENT` when there
 * are none, `ELAYOUT` when they belong to another layout.
 */
export function pinnedMaps(bpffs: string, instance: string): ReadonlyMap<string, FdHandle> {
  const path = join(bpffs, 'weir', instance);
  if (!existsSync(path))
    throw new BpfError('ENOENT', `read ${path}`, 'nothing of this instance is in the kernel');
  const { found } = openPinFolder(bpffs, instance);
  return new Map([...found.keys()].map((name) => [name, native.openPinned(join(path, name))]));
}

/** Unpins everything; maps live on while programs or handles use them. */
export function removePinFolder(path: string): void {
  if (!existsSync(path)) return;
  for (const name of readdirSync(path)) unlinkSync(join(path, name));
  rmdirSync(path);
}

function checkLayout(path: string, layout: number | undefined): void {
  if (layout === layoutVersion || layout === 0) return;
  throw new BpfError(
    'ELAYOUT',
    `adopt the maps in ${path}`,
    `they have layout ${layout}, this build has ${layoutVersion}: stop the other version and remove its state first`,
  );
}
