import { existsSync, mkdirSync, readdirSync, rmdirSync, statfsSync, unlinkSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { BpfError } from './bpf-error.ts';
import { layoutVersion } from './layouts.ts';
import { type FdHandle, native } from './native.ts';

const bpffsMagic = 0xcafe4a11;
const layoutName = /^layout-\d+$/;

/** How names of pinned links begin; all others are of maps. */
export const linkPrefix = 'link_';

/** Where the maps of one instance are pinned: `<bpffs>/weir/<instance>/layout-<number>`. */
export interface PinFolder {
  readonly path: string;
  /** Maps of an earlier process, by name, and how many entries each can hold. */
  readonly found: ReadonlyMap<string, number>;
  /** Folders of builds with another layout. */
  readonly others: readonly string[];
}

/** Finds or makes the instance's folder. Throws BpfError with code `ENOTSUP` when no bpffs is mounted there. */
export function openPinFolder(bpffs: string, instance: string): PinFolder {
  if (!existsSync(bpffs) || statfsSync(bpffs).type !== bpffsMagic) {
    throw new BpfError('ENOTSUP', `use ${bpffs}`, `no bpffs there: mount -t bpf bpf ${bpffs}`);
  }
  const root = instanceFolder(bpffs, instance);
  const path = join(root, `layout-${layoutVersion}`);
  mkdirSync(path, { recursive: true, mode: 0o700 });
  const found = new Map<string, number>();
  for (const [name, handle] of mapsIn(path)) {
    found.set(name, native.mapInfo(handle).maxEntries);
    native.close(handle);
  }
  return Object.freeze({ path, found, others: layoutFolders(root).filter((other) => other !== path) });
}

/**
 * Opens every map that the instance has pinned, by name; the caller closes them. Throws BpfError: `ENOENT` when there
 * are none, `ELAYOUT` when they belong to another layout.
 */
export function pinnedMaps(bpffs: string, instance: string): ReadonlyMap<string, FdHandle> {
  const root = instanceFolder(bpffs, instance);
  const path = join(root, `layout-${layoutVersion}`);
  if (existsSync(path)) return mapsIn(path);
  const [other] = layoutFolders(root);
  if (other === undefined) throw new BpfError('ENOENT', `read ${root}`, 'nothing of this instance is there');
  throw new BpfError(
    'ELAYOUT',
    `read ${other}`,
    `another build made it: this one has layout ${layoutVersion}`,
  );
}

/** Opens the maps that are pinned in a folder, by name; the caller closes them. */
export function mapsIn(folder: string): ReadonlyMap<string, FdHandle> {
  const names = readdirSync(folder).filter((name) => !name.startsWith(linkPrefix));
  return new Map(names.map((name) => [name, native.openPinned(join(folder, name))]));
}

/** Folders of the instance's maps, of whatever layout. */
export function pinFolders(bpffs: string, instance: string): readonly string[] {
  return layoutFolders(instanceFolder(bpffs, instance));
}

/**
 * Unpins everything in a folder of `pinFolders` and removes it, with those above it that are empty then. Maps live on
 * while programs or handles use them.
 */
export function removePinFolder(path: string): void {
  if (!existsSync(path)) return;
  for (const name of readdirSync(path)) unlinkSync(join(path, name));
  rmdirSync(path);
  for (const above of [dirname(path), dirname(dirname(path))]) {
    if (readdirSync(above).length === 0) rmdirSync(above);
  }
}

function instanceFolder(bpffs: string, instance: string): string {
  if (!/^[\w-]{1,64}$/.test(instance)) {
    throw new RangeError(`instance ${instance} must be 1 to 64 letters, digits, - and _`);
  }
  return join(bpffs, 'weir', instance);
}

function layoutFolders(root: string): readonly string[] {
  if (!existsSync(root)) return [];
  return readdirSync(root)
    .filter((name) => layoutName.test(name))
    .map((name) => join(root, name));
}
