/** Damaged requests and answers, through the built filter. `bench/kafka-mutations.bench.ts` runs many more. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { runMutations } from './support/mutations.ts';

test('no damage lets another topic through, or traps', () => {
  const run = runMutations(10_000, 1);
  assert.deepEqual(run.findings, []);
  assert.ok(run.forwarded > 1_000, `${run.forwarded} went through`);
  assert.ok(run.closed > 1_000, `${run.closed} ended the connection`);
  assert.ok(run.memoryBytes < 32 * 1024 * 1024, `${run.memoryBytes} bytes of memory`);
});
