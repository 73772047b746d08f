/** Changed rules on connections that are open, and a filter that fails, in the real Envoy. */
import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { classId } from '@weir/l7-policy';
import { until } from '../envoy-config/support/envoy-under-test.ts';
import { makeNetwork, type TestNetwork } from '../envoy-config/support/network.ts';
import { readResponse, requestFrame, type Structure, schemaOf } from './support/kafka-codec.ts';
import { type KafkaProxy, startKafkaProxy } from './support/proxy.ts';
import { slotsOf } from './support/rules.ts';
import { trappingFilter } from './support/trapping-filter.ts';
import { longPollMs } from './support/wire-peer.ts';
import { startWirePeer, type WirePeer } from './support/wire-peer-handle.ts';

const port = 9092;
const wanted = (topic: string) => ({
  id: classId('kafka'),
  port: 15_000,
  egress: null,
  ingress: slotsOf(`[{topic: ${topic}}]`),
});
const produce = (topic: string, correlation: number) =>
  requestFrame(schemaOf(0, 3), 3, correlation, 'me', {
    TransactionalId: null,
    Acks: 1,
    TopicData: [{ Name: topic, PartitionData: [{ Index: 0, Records: null }] }],
  });
const longPoll = (topic: string) =>
  requestFrame(schemaOf(1, 11), 11, 5, 'me', {
    MaxWaitMs: longPollMs,
    SessionId: 0,
    SessionEpoch: 0,
    Topics: [{ Topic: topic, Partitions: [{ Partition: 0 }] }],
  });

let network: TestNetwork;
let client: WirePeer;
let broker: WirePeer;

before(async () => {
  network = makeNetwork('kafka-force');
  network.redirect(port, 15_000);
  [client, broker] = await Promise.all([startWirePeer(network.client), startWirePeer(network.server)]);
  await broker.serve(port);
});

after(async () => {
  await Promise.all([client?.end(), broker?.end()]);
  network?.remove();
});

/** Whether a produce request on a connection that stays open reaches the broker; null: the connection ended. */
async function reaches(topic: string, connection: string): Promise<boolean | null> {
  const { ended } = await client.exchange(network.serverAddress, port, [produce(topic, 7)], 1, 0, connection);
  const arrived = await broker.received();
  return ended ? null : arrived.some((frame) => frame.includes(topic));
}

describe('rules that change', () => {
  let proxy: KafkaProxy;
  before(async () => {
    proxy = await startKafkaProxy(network.proxy, 2);
    await proxy.setClasses([wanted('orders')]);
  });
  after(() => proxy?.stop());
  const connections = Array.from({ length: 8 }, (_, index) => `connection ${index}`);

  test('reach the next request of every open connection, on every worker', async () => {
    for (const connection of connections) assert.equal(await reaches('orders', connection), true);
    await proxy.setRules(wanted('bills'));
    // Envoy acknowledges before the last worker has taken the new version.
    for (const connection of connections) {
      await until(async () => (await reaches('orders', connection)) === false, 'the old topic is refused');
      assert.equal(await reaches('bills', connection), true);
    }
    await proxy.setRules(wanted('orders'));
    for (const connection of connections)
      await until(async () => (await reaches('orders', connection)) === true, 'the old topic is back');
  });

  test('reach a long poll: no record of a revoked topic comes', async () => {
    await client.exchange(network.serverAddress, port, [longPoll('orders')], 0, 0, 'poll');
    await until(async () => (await broker.received()).length === 1, 'the fetch has come to the broker');
    await proxy.setRules(wanted('bills'));
    assert.equal(await broker.release(), 1);
    const { answers } = await client.exchange(network.serverAddress, port, [], 1, 0, 'poll');
    const { body } = readResponse(schemaOf(1, 11), 11, answers[0]!);
    const [topic = {}] = body['Responses'] as readonly Structure[];
    const [partition = {}] = topic['Partitions'] as readonly Structure[];
    assert.equal(partition['ErrorCode'], 29);
    assert.ok(!answers[0]!.includes('a record'));
  });
});

describe('a filter that traps', () => {
  let proxy: KafkaProxy;
  before(async () => {
    proxy = await startKafkaProxy(network.proxy, 1, trappingFilter());
    await proxy.setClasses([wanted('orders')]);
  });
  after(() => proxy?.stop());

  test('opens nothing, and the next connection has a filter with the rules in force', async () => {
    assert.equal(await reaches('orders', 'bystander'), true);
    await proxy.setRules(wanted('bills'));
    const { ended } = await client.exchange(network.serverAddress, port, [produce('trap', 1)], 1);
    assert.equal(ended, true, 'its own connection ends');
    assert.deepEqual(await broker.received(), []);
    assert.notEqual(await reaches('orders', 'bystander'), true, 'no other connection is opened');
    await until(async () => (await reaches('bills', 'next')) === true, 'a new connection works');
    assert.equal(await reaches('orders', 'next'), false);
  });
});
