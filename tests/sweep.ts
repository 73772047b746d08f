// What runs left that were killed: network namespaces, whoever lives on in there, and what instances of Weir keep on the
// machine. Names of tests and benchmarks carry the process id of their run, as the first number.
import { execFileSync } from 'node:child_process';
import { existsSync, readdirSync, rmdirSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { removeNamespaces } from '@weir/agent';

/** Where an instance has a folder of its name. */
const instanceFolders = ['/run/weir', '/var/lib/weir', '/sys/fs/bpf/weir'];

/** Removes what is left of runs that have ended. */
export async function sweep(): Promise<void> {
  const namespaces = execFileSync('ip', ['netns', 'list'], { encoding: 'utf8' }).match(/^weir\S*/gm) ?? [];
  const left = namespaces.filter((name) => {
    const pid = runOf(name);
    return pid !== undefined && !existsSync(`/proc/${pid}`);
  });
  await removeNamespaces(left);
  const ended = new Set(left.map(runOf));
  // Only theirs: an instance that is not a test's may have a number in its name as well.
  for (const folder of instanceFolders.filter((path) => existsSync(path))) {
    for (const instance of readdirSync(folder).filter((name) => ended.has(runOf(name))))
      rmSync(join(folder, instance), { recursive: true });
    if (ended.size > 0 && readdirSync(folder).length === 0) rmdirSync(folder);
  }
}

function runOf(name: string): string | undefined {
  return /\d+/.exec(name)?.[0];
}
