/** Nothing that a file can hold crashes the engine, starves it, or loses one of its conditions. */
import assert from 'node:assert/strict';
import { suite, test } from 'node:test';
import { createEngine } from '@weir/l7-policy';
import { fuzz } from './fuzz-run.ts';
import { hostileTexts } from './hostile-documents.testdata.ts';

const inputs = 3000;
/** Wide: the machine may be busy. What is not linear takes minutes. */
const textMs = 10_000;
const heapBytes = 512 << 20;

suite('documents that were changed', () => {
  test(`${inputs} of them: no crash, and what is accepted means what it says`, () => {
    const report = fuzz(inputs, 20_260_801, () => performance.now());
    assert.deepEqual(report.findings, []);
    assert.ok(report.same > 0 && report.refused > inputs / 2, JSON.stringify(report));
    assert.ok(report.slowestMs < textMs, `${report.slowest} took ${report.slowestMs} ms`);
  });
});

suite('hostile documents', () => {
  for (const { name, text, refused } of hostileTexts) {
    test(`${name}: ${refused ? 'refused' : 'read'}, in bounded time and memory`, () => {
      const engine = createEngine({});
      const heap = process.memoryUsage().heapUsed;
      const start = performance.now();
      engine.setFile('hostile.yaml', text);
      const ms = performance.now() - start;
      assert.ok(ms < textMs, `${ms} ms`);
      const grown = process.memoryUsage().heapUsed - heap;
      assert.ok(grown < heapBytes, `${grown} bytes`);
      const problems = engine.problems().filter(({ severity }) => severity === 'error');
      assert.equal(problems.length > 0, refused, problems[0]?.message);
      if (refused) assert.deepEqual([...engine.state().slots], []);
    });
  }
});
