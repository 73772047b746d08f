// What runs left that were killed: network namespaces, whoever lives on in there, and files and folders. All of it bears
// the run's process id (run-name.ts). `node tests/sweep.ts` removes it.
import { execFileSync } from 'node:child_process';
import { existsSync, readdirSync, rmdirSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { removeNamespaces } from '@weir/agent';
import { runOf } from './run-name.ts';

/** Where an instance has a folder of its name. */
const instanceFolders = ['/run/weir', '/var/lib/weir', '/sys/fs/bpf/weir'];
/** Where names begin with `weir`. */
const sharedFolders = ['/sys/fs/bpf', tmpdir(), resolve(import.meta.dirname, '../build')];

if (import.meta.main) await sweep();

/** Removes what is left of runs that have ended. */
export async function sweep(): Promise<void> {
  const namespaces = execFileSync('ip', ['netns', 'list'], { encoding: 'utf8' }).match(/^weir\S*/gm) ?? [];
  await removeNamespaces(namespaces.filter(hasEnded));
  for (const folder of sharedFolders) removeFrom(folder, (name) => name.startsWith('weir') && hasEnded(name));
  for (const folder of instanceFolders) {
    if (removeFrom(folder, hasEnded) === 0) continue;
    try {
      rmdirSync(folder);
    } catch {
      // Others are in it.
    }
  }
}

function removeFrom(folder: string, among: (name: string) => boolean): number {
  const names = existsSync(folder) ? readdirSync(folder).filter(among) : [];
  for (const name of names) rmSync(join(folder, name), { recursive: true, force: true });
  return names.length;
}

function hasEnded(name: string): boolean {
  const pid = runOf(name);
  return pid !== undefined && !existsSync(`/proc/${pid}`);
}
