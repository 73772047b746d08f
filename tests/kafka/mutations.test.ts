/** Damaged messages and changed rules, through the built filter. `bench/kafka-mutations.bench.ts` runs many more. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { kafkaFilterConfig } from '@weir/envoy-config';
import {
  readResponse,
  requestFrame,
  responseFrame,
  type Structure,
  schemaOf,
} from './support/kafka-codec.ts';
import { runMutations } from './support/mutations.ts';
import { slotsOf } from './support/rules.ts';
import { loadWasmFilter } from './support/wasm-filter.ts';

test('no damage lets another topic through, or traps', () => {
  const run = runMutations(10_000, 1);
  assert.deepEqual(run.findings, []);
  assert.ok(run.forwarded > 1_000, `${run.forwarded} went through`);
  assert.ok(run.closed > 1_000, `${run.closed} ended the connection`);
  assert.ok(run.memoryBytes < 32 * 1024 * 1024, `${run.memoryBytes} bytes of memory`);
});

test('rules that become fewer while a session waits for records do not trap', () => {
  const filter = loadWasmFilter();
  const configure = (rules: string) =>
    filter.configure(kafkaFilterConfig({ revision: '', id: 'c', egress: null, ingress: slotsOf(rules) }));
  configure('[{topic: a}, {topic: b}, {topic: orders}]');
  const { request, answer } = filter.connect();
  const [schema, version] = [schemaOf(1, 11), 11];
  const Topics = [{ Topic: 'orders', Partitions: [{ Partition: 0 }] }];
  const fetch = (body: Structure, id: number) => request(requestFrame(schema, version, id, 'me', body));
  const records = (id: number) => answer(responseFrame(schema, version, id, { SessionId: 77 }));
  fetch({ SessionId: 0, SessionEpoch: 0, Topics }, 1);
  records(1);
  fetch({ SessionId: 77, SessionEpoch: 1, Topics }, 2);
  configure('[{topic: bills}]');
  assert.equal(readResponse(schema, version, records(2)!).body['ErrorCode'], 70);
});
