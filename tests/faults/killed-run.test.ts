// Whoever runs a test or a benchmark may kill it: what it started ends, and the next run removes the rest.
import assert from 'node:assert/strict';
import { execFileSync, spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, mkdirSync, readlinkSync, rmSync } from 'node:fs';
import { basename, dirname, join } from 'node:path';
import { test } from 'node:test';
import { stageNames } from '@weir/agent';
import { assertNothingLeft } from '../integration/leaks.ts';
import { waitUntil } from '../integration/wait-until.ts';
import { runName } from '../run-name.ts';
import { sweep } from '../sweep.ts';

test('a run that is killed takes its children along, and leaves to the next run what outlives an agent', async (t) => {
  const run = spawn(process.execPath, [join(import.meta.dirname, 'killed-run.ts')], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  const exited = once(run, 'exit');
  t.after(() => run.kill('SIGKILL'));
  await Promise.race([once(run.stdout, 'data'), exited]);
  const { pid } = run;
  assert.ok(pid !== undefined && run.exitCode === null, 'it runs');
  const programs = () => livingIn(namespacesOf(pid));
  // Of the stage two servers, three ships and an agent with its Envoy; an Envoy and a broker beside it.
  assert.deepEqual(programs(), ['envoy', 'envoy', 'java', ...Array(6).fill('node')]);

  run.kill('SIGKILL');
  await exited;
  await waitUntil('the end of its children', 10_000, async () => {
    const seen = programs();
    return seen.join() === 'envoy' ? { done: seen } : { seen };
  });
  await sweep();
  assert.deepEqual(namespacesOf(pid), []);
  assertNothingLeft(stageNames(`killed-pid${pid}`));
});

test('what an ended run left is taken even where its namespaces are gone, as after a restart of the machine', async (t) => {
  const { pid } = spawnSync('true');
  const ended = stageNames(`ended-pid${pid}`);
  const others = [runName('living'), `node-${pid}`].map((name) => stageNames(name).stateDirectory);
  for (const folder of [...others, ended.stateDirectory]) mkdirSync(folder, { recursive: true });
  t.after(() => {
    for (const folder of others) rmSync(folder, { recursive: true });
    execFileSync('rmdir', ['--ignore-fail-on-non-empty', dirname(ended.stateDirectory)]);
  });
  await sweep();
  assertNothingLeft(ended);
  assert.ok(
    others.every((folder) => existsSync(folder)),
    'the rest stays',
  );
});

function namespacesOf(pid: number): readonly string[] {
  const names = execFileSync('ip', ['netns', 'list'], { encoding: 'utf8' }).match(/^\S+/gm) ?? [];
  return names.filter((name) => name.includes(String(pid)));
}

/** The programs that run in these namespaces, sorted. */
function livingIn(namespaces: readonly string[]): readonly string[] {
  return namespaces
    .flatMap((name) => execFileSync('ip', ['netns', 'pids', name], { encoding: 'utf8' }).match(/\d+/g) ?? [])
    .flatMap((pid) => programOf(pid) ?? [])
    .sort();
}

function programOf(pid: string): string | undefined {
  try {
    return basename(readlinkSync(`/proc/${pid}/exe`));
  } catch {
    return undefined; // It has ended meanwhile.
  }
}
