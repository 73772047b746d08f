import assert from 'node:assert/strict';
import { globSync, readFileSync } from 'node:fs';
import { basename, resolve } from 'node:path';
import { suite, test } from 'node:test';
import { runPolicyTests } from '@weir/l7-policy';

const data = resolve(import.meta.dirname, 'data');

for (const file of globSync('*.yaml', { cwd: data }).sort()) {
  suite(`conformance: ${basename(file, '.yaml')}`, () => {
    const results = Map.groupBy(
      runPolicyTests(readFileSync(resolve(data, file), 'utf8'), file),
      (item) => item.test,
    );
    for (const [name, items] of results) {
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
