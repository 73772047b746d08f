import { type FSWatcher, watch } from 'node:fs';
import { readdir } from 'node:fs/promises';
import { join } from 'node:path';

/** A directory tree that is watched. */
export interface WatchedTree {
  /** All files, by path. Watches directories that are new. */
  readonly list: () => Promise<readonly string[]>;
  readonly close: () => void;
}

/**
 * Watches each directory of a tree by itself: on Linux Node's recursive watch loses a file after it
 * was replaced by rename twice. `changed` is called after any change, possibly several times for one.
 */
export function watchTree(root: string, changed: () => void): WatchedTree {
  const watchers = new Map<string, FSWatcher>();

  function forget(directory: string): void {
    watchers.get(directory)?.close();
    watchers.delete(directory);
  }

  function follow(directory: string): void {
    if (watchers.has(directory)) return;
    const watcher = watch(directory, changed);
    watcher.on('error', () => {
      forget(directory);
      changed();
    });
    watchers.set(directory, watcher);
  }

  async function walk(directory: string, seen: Set<string>): Promise<readonly string[]> {
    follow(directory);
    seen.add(directory);
    const files: string[] = [];
    for (const entry of await readdir(directory, { withFileTypes: true })) {
      const path = join(directory, entry.name);
      if (entry.isDirectory()) files.push(...(await walkIfThere(path, seen)));
      else files.push(path);
    }
    return files;
  }

  /** A directory may go between its listing and the look into it. */
  async function walkIfThere(directory: string, seen: Set<string>): Promise<readonly string[]> {
    try {
      return await walk(directory, seen);
    } catch (error) {
      if (error instanceof Error && 'code' in error && error.code === 'ENOENT') return [];
      throw error;
    }
  }

  return {
    list: async () => {
      const seen = new Set<string>();
      const files = await walk(root, seen);
      for (const directory of watchers.keys()) if (!seen.has(directory)) forget(directory);
      return files;
    },
    close: () => {
      for (const directory of [...watchers.keys()]) forget(directory);
    },
  };
}
