import assert from 'node:assert/strict';
import { globSync, readFileSync } from 'node:fs';
import { basename, resolve } from 'node:path';
import { suite, test } from 'node:test';
import { runPolicyTests } from '@weir/l7-policy';

const data = resolve(import.meta.dirname, 'data');

for (const file of globSync('*.yaml', { cwd: data }).sort()) {
  // Outside of the suite: a file that cannot be run must fail, and the runner does not count suites.
  const ran = runPolicyTests(readFileSync(resolve(data, file), 'utf8'), file);
  suite(`conformance: ${basename(file, '.yaml')}`, () => {
    for (const [name, items] of Map.groupBy(ran, (item) => item.test)) {
      if (items.some((item) => item.uncertain)) continue;
      test(name, () => {
        const failed = items.filter((item) => !item.passed);
        assert.deepEqual(
          failed.map((item) => `${item.file}:${item.line}: ${item.title}: ${item.message}`),
          [],
        );
      });
    }
  });
}
