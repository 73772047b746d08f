/** A real broker and a real client, with the filter in a real Envoy between them. */
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { after, before, test } from 'node:test';
import { classId } from '@weir/l7-policy';
import { until } from '../envoy-config/support/envoy-under-test.ts';
import { entering, makeNetwork, type TestNetwork } from '../envoy-config/support/network.ts';
import { type Broker, startBroker } from './support/broker.ts';
import { type KafkaProxy, startKafkaProxy } from './support/proxy.ts';
import { slotsOf } from './support/rules.ts';

let network: TestNetwork;
let broker: Broker;
let proxy: KafkaProxy;

const allowed = '[{role: produce, topic: orders}, {role: consume, topic: orders}]';
const wanted = (rules: string) => ({
  id: classId('kafka'),
  port: 15_000,
  egress: null,
  ingress: slotsOf(rules),
});

before(async () => {
  network = makeNetwork('kafka');
  network.redirect(9092, 15_000);
  [proxy, broker] = await Promise.all([
    startKafkaProxy(network.proxy),
    startBroker({ namespace: network.server, address: network.serverAddress }),
  ]);
  await proxy.setClasses([wanted(allowed)]);
});

after(async () => {
  await proxy?.stop();
  await broker?.stop();
  network?.remove();
});

/** Runs kcat in the client's namespace. */
function kcat(
  args: readonly string[],
  input = '',
): { status: number | null; stdout: string; stderr: string } {
  const bootstrap = `${network.serverAddress}:9092`;
  const [enter, ...words] = entering(network.client, 'timeout', '20', 'kcat', '-b', bootstrap, ...args);
  return spawnSync(enter, words, { input, encoding: 'utf8' });
}

test('an allowed topic can be written and read', () => {
  const written = kcat(['-P', '-t', 'orders'], 'one\ntwo\n');
  assert.equal(written.status, 0, written.stderr);
  const read = kcat(['-C', '-t', 'orders', '-e', '-q']);
  assert.equal(read.stdout, 'one\ntwo\n', read.stderr);
});

test('another topic is refused in words that the client understands', () => {
  const written = kcat(['-P', '-t', 'secrets'], 'one\n');
  assert.notEqual(written.status, 0);
  assert.match(written.stderr, /[Tt]opic authorization failed/);
});

test('each request is reported', async () => {
  await until(() => proxy.reports.some(({ apiKey }) => apiKey === 0), 'a report of Produce');
  const produced = proxy.reports.find(({ apiKey }) => apiKey === 0)!;
  assert.equal(produced.verdict, 'allowed');
  assert.deepEqual(produced.topics, [{ name: 'orders', refused: false }]);
  assert.equal(produced.source.address, network.clientAddress);
  assert.equal(produced.destination.address, network.serverAddress);
  assert.equal(produced.ingressRules.length, 1);
});
