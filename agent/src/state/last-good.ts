import { createHash } from 'node:crypto';
import type { StateStore } from './state-store.ts';

/** The last version of each file that was taken without an error, kept over restarts. */
export interface LastGood {
  load(path: string): string | undefined;
  save(path: string, text: string): void;
  forget(path: string): void;
}

/** Keeps each file's text under a name of its own in `store`. */
export function createLastGood(store: StateStore): LastGood {
  const nameOf = (path: string): string =>
    `last-good-${createHash('sha256').update(path).digest('hex').slice(0, 32)}`;
  return {
    load(path) {
      const stored = store.read(nameOf(path));
      if (typeof stored !== 'object' || stored === null || !('text' in stored)) return undefined;
      return typeof stored.text === 'string' ? stored.text : undefined;
    },
    save: (path, text) => store.write(nameOf(path), { path, text }),
    forget: (path) => store.remove(nameOf(path)),
  };
}
