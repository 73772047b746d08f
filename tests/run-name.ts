// What a run of tests or of a benchmark makes on the machine bears the run's process id in its name: runs do not meet,
// and a later one knows what was left by one that was killed (sweep.ts).
import { mkdtempSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

/** A name of this run's. Two calls with one word give one name. */
export function runName(word: string): string {
  return `${word}-pid${process.pid}`;
}

/** The process id of the run that made what is called so, if a run did. */
export function runOf(name: string): number | undefined {
  const pid = /-pid(\d+)\b/.exec(name)?.[1];
  return pid === undefined ? undefined : Number(pid);
}

/** Makes a folder of this run's, another at each call, and gives its path. */
export function temporaryFolder(word: string, parent = tmpdir()): string {
  return mkdtempSync(join(parent, `weir-${runName(word)}-`));
}
