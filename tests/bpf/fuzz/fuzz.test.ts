// Random and mutated frames: nothing of a protected workload passes without an allow. `make bench-packet-fuzz` makes
// 1,000,000; WEIR_FUZZ_FRAMES and WEIR_FUZZ_SEED say how many here, and which.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { openKernelUnderTest } from '../conformance/kernel-under-test.ts';
import { enterOwnNamespace } from '../conformance/own-namespace.ts';
import { marks } from '../lab.ts';
import { fuzz } from './fuzz-run.ts';

const interfaces = enterOwnNamespace(import.meta.filename);
const frames = Number(process.env['WEIR_FUZZ_FRAMES'] ?? '30000');
const seed = Number(process.env['WEIR_FUZZ_SEED'] ?? Date.now() % 1_000_000_000);

test(`${frames} frames, seed ${seed}`, () => {
  const kernel = openKernelUnderTest(interfaces);
  try {
    const { findings, ...counts } = fuzz(kernel, marks, kernel.instance, interfaces, { frames, seed });
    console.log(JSON.stringify(counts));
    assert.deepEqual(findings, []);
    assert.ok(counts.passed > frames / 20, 'enough of them pass');
  } finally {
    kernel.close();
  }
});
