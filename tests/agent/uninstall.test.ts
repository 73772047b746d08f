import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { existsSync, mkdirSync, readdirSync, rmSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { describe, it } from 'node:test';
import { stageNames, weir } from '@weir/agent';
import { runName, temporaryFolder } from '../run-name.ts';

describe('weir uninstall', () => {
  it('removes the folder of all instances with the last one in it, but no mount', (t) => {
    const folder = temporaryFolder('uninstall');
    t.after(() => rmSync(folder, { recursive: true }));
    const instance = runName('gone');
    const [runDirectory, stateDirectory] = ['run', 'state'].map((name) =>
      join(folder, name, 'weir', instance),
    );
    assert.ok(runDirectory !== undefined && stateDirectory !== undefined);
    const mounted = dirname(stateDirectory);
    mkdirSync(runDirectory, { recursive: true });
    mkdirSync(mounted, { recursive: true });

    const inside = 'mount -t tmpfs tmpfs "$0" && mkdir "$1" && shift && "$@" && ls -A "$0"';
    const uninstall = [
      ...weir({ ...stageNames(instance), runDirectory }),
      'uninstall',
      '--state-dir',
      stateDirectory,
    ];
    const printed = execFileSync(
      'unshare',
      ['--mount', '--net', 'sh', '-c', inside, mounted, stateDirectory, ...uninstall],
      { encoding: 'utf8' },
    );
    assert.equal(printed, `removed: ${runDirectory}, ${stateDirectory}\n`);
    assert.ok(!existsSync(dirname(runDirectory)));
    assert.deepEqual(readdirSync(mounted), []);
  });
});
