import {
  closeSync,
  fsyncSync,
  mkdirSync,
  openSync,
  readFileSync,
  renameSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { dirname, join } from 'node:path';

/** One JSON document per name under a directory, replaced atomically. */
export interface StateStore {
  /** The stored value, or undefined when there is none. Throws when the file is there but is no JSON. */
  read(name: string): unknown;
  /** Returns when the value is on disk: a crash leaves the old or the new document, never a part. */
  write(name: string, value: unknown): void;
  /** Forgets a value; nothing happens when there is none. */
  remove(name: string): void;
}

/** A store of files `NAME.json` in `directory`, which is made (mode 0700) when missing. */
export function createStateStore(directory: string): StateStore {
  mkdirSync(directory, { recursive: true, mode: 0o700 });
  return {
    read(name) {
      const path = join(directory, `${name}.json`);
      const text = readIfPresent(path);
      if (text === undefined) return undefined;
      try {
        return JSON.parse(text);
      } catch (error) {
        throw new Error(`${path} is damaged (${String(error)}); remove it to start without this state`);
      }
    },
    write(name, value) {
      replaceFile(join(directory, `${name}.json`), `${JSON.stringify(value, null, 1)}\n`);
    },
    remove(name) {
      rmSync(join(directory, `${name}.json`), { force: true });
    },
  };
}

function readIfPresent(path: string): string | undefined {
  try {
    return readFileSync(path, 'utf8');
  } catch (error) {
    if (error instanceof Error && 'code' in error && error.code === 'ENOENT') return undefined;
    throw error;
  }
}

function replaceFile(path: string, text: string): void {
  const temporary = `${path}.new`;
  const file = openSync(temporary, 'w', 0o600);
  try {
    writeFileSync(file, text);
    fsyncSync(file);
  } finally {
    closeSync(file);
  }
  renameSync(temporary, path);
  const folder = openSync(dirname(path), 'r');
  try {
    fsyncSync(folder);
  } finally {
    closeSync(folder);
  }
}
