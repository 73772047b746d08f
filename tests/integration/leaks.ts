import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { StageNames } from '@weir/agent';
import { runOf } from '../run-name.ts';

/**
 * Fails when anything of an instance is still on the machine: namespaces, pins, directories, processes. In the temp
 * directory, it is whatever the instance's run left there.
 */
export function assertNothingLeft({ instance, runDirectory, stateDirectory }: StageNames): void {
  const left: string[] = [];
  const namespaces = execFileSync('ip', ['netns', 'list'], { encoding: 'utf8' });
  left.push(...namespaces.split('\n').filter((line) => line.startsWith(`weir-${instance}-`)));
  const pins = '/sys/fs/bpf/weir';
  for (const path of [runDirectory, stateDirectory, join(pins, instance)]) {
    if (existsSync(path)) left.push(path);
  }
  if (existsSync(pins) && readdirSync(pins).length === 0) left.push(`${pins}, which is empty`);
  const run = runOf(instance);
  if (run !== undefined) left.push(...readdirSync(tmpdir()).filter((name) => runOf(name) === run));
  for (const pid of readdirSync('/proc').filter((name) => /^\d+$/.test(name))) {
    const command = commandOf(pid);
    if (Number(pid) !== process.pid && command.includes(runDirectory))
      left.push(`process ${pid}: ${command}`);
  }
  assert.deepEqual(left, []);
}

function commandOf(pid: string): string {
  try {
    return readFileSync(`/proc/${pid}/cmdline`, 'utf8').replaceAll('\0', ' ');
  } catch {
    return '';
  }
}
