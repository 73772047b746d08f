import { renameSync, utimesSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { SETTLE_MS } from './watch-folder.ts';

/**
 * Puts a whole file into a folder that `watchFolder` watches, with one rename. It counts as written a little earlier than
 * it was, for the watch would wait to see whether anybody still writes.
 */
export function placeFile(folder: string, name: string, content: string | Uint8Array): void {
  const hidden = join(folder, `.${name}.new`);
  writeFileSync(hidden, content);
  const seconds = (Date.now() - 2 * SETTLE_MS) / 1000;
  utimesSync(hidden, seconds, seconds);
  renameSync(hidden, join(folder, name));
}
