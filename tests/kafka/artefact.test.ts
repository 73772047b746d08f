/** The filter that is built is the filter that was tested: its digest stands in the repository. */
import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { resolve } from 'node:path';
import { test } from 'node:test';

const root = resolve(import.meta.dirname, '../..');

test('the built filter has the pinned digest (after a change: npm run -w envoy-config build:kafka-filter -- --pin)', () => {
  const code = readFileSync(resolve(root, 'build/kafka-filter/kafka.wasm'));
  const pinned = readFileSync(resolve(root, 'envoy-config/kafka-filter/kafka.wasm.sha256'), 'utf8').trim();
  assert.equal(createHash('sha256').update(code).digest('hex'), pinned);
});
