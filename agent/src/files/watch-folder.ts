import { existsSync, type FSWatcher, watch } from 'node:fs';
import { readdir, readFile, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';

/** What became of one file since the last look. Paths begin as the folder was given. */
export type FileChange =
  | { readonly kind: 'changed'; readonly path: string; readonly text: string }
  | { readonly kind: 'removed'; readonly path: string }
  | { readonly kind: 'unreadable'; readonly path: string; readonly reason: string };

export interface FolderWatch {
  /** Looks once, now, and reports what changed since the last look. */
  scan(): Promise<void>;
  close(): void;
}

/** A file larger than this is refused: nobody writes such a file by hand, and parsing it stalls the agent. */
const MAX_FILE_BYTES = 16 * 1024 * 1024;
/**
 * A file counts once it has stayed the same for this long: a writer that truncates and then writes
 * must not be read in between, where half of it would be missing. Writers that rename never show a part.
 */
export const SETTLE_MS = 10;
/** A file counts as removed once it has been gone for this long: editors move a file away before they write anew. */
const GONE_MS = 100;

/**
 * Watches the files that stand directly in `folder` and whose names `accepts`. Each directory event
 * causes one look at the whole folder, and looks never overlap, so that renames, editors that replace
 * files and events that the kernel merged all end in the same state. `report` is awaited; changes found
 * in one look come in one call, sorted by path. Throws when there is no such folder.
 */
export function watchFolder(
  folder: string,
  accepts: (name: string) => boolean,
  report: (changes: readonly FileChange[]) => Promise<void>,
  onError: (error: unknown) => void,
): FolderWatch {
  const seen = new Map<string, string>();
  const goneSince = new Map<string, number>();
  let running: Promise<void> | undefined;
  let again = false;
  let closed = false;
  if (!existsSync(folder)) throw new Error(`there is no folder ${folder} to watch`);
  const watcher: FSWatcher = watch(folder, () => void scan().catch(onError));
  watcher.on('error', onError);

  async function scan(): Promise<void> {
    again = true;
    running ??= (async () => {
      try {
        while (again && !closed) {
          again = false;
          await look();
        }
      } finally {
        running = undefined;
      }
    })();
    await running;
  }

  async function look(): Promise<void> {
    const changes: FileChange[] = [];
    const present = new Set<string>();
    let settled = true;
    for (const name of (await readdir(folder)).sort()) {
      if (!accepts(name)) continue;
      const path = join(folder, name);
      const found = await readFolderFile(path);
      if (found.kind === 'gone') continue;
      present.add(path);
      const content = found.kind === 'text' ? `text:${found.text}` : `unreadable:${found.reason}`;
      if (seen.get(path) === content) continue;
      if (Date.now() - found.modifiedMs < SETTLE_MS) {
        settled = false;
        continue;
      }
      seen.set(path, content);
      changes.push(
        found.kind === 'text'
          ? { kind: 'changed', path, text: found.text }
          : { kind: 'unreadable', path, reason: found.reason },
      );
    }
    for (const path of present) goneSince.delete(path);
    for (const path of [...seen.keys()].sort()) {
      if (present.has(path)) continue;
      const since = goneSince.get(path) ?? Date.now();
      goneSince.set(path, since);
      if (Date.now() - since < GONE_MS) {
        settled = false;
        continue;
      }
      goneSince.delete(path);
      seen.delete(path);
      changes.push({ kind: 'removed', path });
    }
    if (changes.length > 0) await report(changes);
    if (!settled) {
      await delay(SETTLE_MS);
      again = true;
    }
  }

  return {
    scan,
    close() {
      closed = true;
      watcher.close();
    },
  };
}

type FileContent =
  | { readonly kind: 'text'; readonly text: string; readonly modifiedMs: number }
  | { readonly kind: 'unreadable'; readonly reason: string; readonly modifiedMs: number }
  | { readonly kind: 'gone' };

async function readFolderFile(path: string): Promise<FileContent> {
  try {
    const facts = await stat(path);
    if (!facts.isFile()) return { kind: 'gone' };
    if (facts.size > MAX_FILE_BYTES) {
      const reason = `is ${facts.size} bytes long; at most ${MAX_FILE_BYTES} are read`;
      return { kind: 'unreadable', reason, modifiedMs: facts.mtimeMs };
    }
    const text = await readFile(path, 'utf8');
    return { kind: 'text', text, modifiedMs: (await stat(path)).mtimeMs };
  } catch (error) {
    if (error instanceof Error && 'code' in error && error.code === 'ENOENT') return { kind: 'gone' };
    return { kind: 'unreadable', reason: String(error), modifiedMs: 0 };
  }
}
