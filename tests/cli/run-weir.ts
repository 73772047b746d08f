import { spawnSync } from 'node:child_process';
import { rmSync, writeFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import type { TestContext } from 'node:test';
import { temporaryFolder } from '../run-name.ts';

const weir = resolve(import.meta.dirname, '../../weir');

/** How a run of the command line ended. */
export interface WeirRun {
  readonly status: number | null;
  readonly stdout: string;
  readonly stderr: string;
  readonly lastLine: string;
}

/** Runs `weir` to its end in `directory`. */
export function runWeir(directory: string, ...words: readonly string[]): WeirRun {
  const { status, stdout, stderr } = spawnSync(weir, words, { cwd: directory, encoding: 'utf8' });
  return { status, stdout, stderr, lastLine: stdout.trimEnd().split('\n').at(-1) ?? '' };
}

/** A folder of the given files that is gone after the test. */
export function folderOf(context: TestContext, files: Readonly<Record<string, string>>): string {
  const directory = temporaryFolder('cli');
  context.after(() => rmSync(directory, { recursive: true }));
  for (const [name, text] of Object.entries(files)) writeFileSync(join(directory, name), text);
  return directory;
}
