/** Every API in every version, and the Kafka cases of the conformance data, through the filter in the real Envoy. */
import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { classId } from '@weir/l7-policy';
import { until } from '../envoy-config/support/envoy-under-test.ts';
import { makeNetwork, type TestNetwork } from '../envoy-config/support/network.ts';
import { kafkaProbes } from './support/kafka-cases.ts';
import { everyVersion, readResponse, requestFrame, schemaOf } from './support/kafka-codec.ts';
import { type KafkaProxy, startKafkaProxy } from './support/proxy.ts';
import { slotsOf } from './support/rules.ts';
import { sample } from './support/samples.ts';
import { startWirePeer, type WirePeer } from './support/wire-peer-handle.ts';

const probes = kafkaProbes();
/** Probes of equal content share a class, and so a server port. */
const contents = [...new Set(probes.map(({ egress, ingress }) => JSON.stringify([egress, ingress])))];
const placeholder = /^0000000a00120000[0-9a-f]{8}ffff$/;
const fixed = { SessionId: 0, SessionEpoch: 0, ShareSessionEpoch: 0, Acks: 1, ForgottenTopicsData: [] };

let network: TestNetwork;
let proxy: KafkaProxy;
let client: WirePeer;
let broker: WirePeer;

const classes = [
  { id: classId('all'), port: 15_000, egress: null, ingress: slotsOf('[{}]') },
  {
    id: classId('none'),
    port: 15_001,
    egress: null,
    ingress: slotsOf('[{topic: nothing, clientID: nobody}]'),
  },
  ...contents.map((content, index) => {
    const { egress, ingress } = probes.find(
      (each) => JSON.stringify([each.egress, each.ingress]) === content,
    )!;
    return { id: classId(`case-${index}`), port: 15_002 + index, egress, ingress };
  }),
];

before(async () => {
  network = makeNetwork('kafka-envoy');
  [client, broker, proxy] = await Promise.all([
    startWirePeer(network.client),
    startWirePeer(network.server),
    startKafkaProxy(network.proxy),
  ]);
  for (const { port } of classes) {
    network.redirect(port - 14_000, port);
    await broker.serve(port - 14_000);
  }
  await proxy.setClasses(classes);
});

after(async () => {
  await proxy?.stop();
  await Promise.all([client?.end(), broker?.end()]);
  network?.remove();
});

/** One request of every API and version, by its correlation id. */
const requests = everyVersion().map(({ schema, version }, index) => ({
  schema,
  version,
  frame: requestFrame(schema, version, index, 'me', sample(schema.request, version, ['orders'], fixed)),
}));

const exchange = (port: number, frames: readonly Buffer[], answers: number, pieces = 0) =>
  client.exchange(network.serverAddress, port, frames, answers, pieces);

for (const pieces of [0, 1, 1_000]) {
  test(`what is allowed arrives as it was sent, in pieces of ${pieces === 0 ? 'any size' : pieces}`, async () => {
    const sent = requests.map(({ frame }) => frame);
    const { answers } = await exchange(1_000, sent, sent.length, pieces);
    assert.equal(Buffer.concat(await broker.received()).equals(Buffer.concat(sent)), true);
    assert.deepEqual(
      answers.map((answer) => answer.readInt32BE(4)),
      sent.map((_, index) => index),
    );
  });
}

test('what is refused gets an error of its API and version, in order', async () => {
  const sent = requests.map(({ frame }) => frame);
  const { answers } = await exchange(1_001, sent, sent.length);
  const arrived = await broker.received();
  assert.deepEqual(
    arrived.map((frame) => frame.toString('hex')).filter((text) => !placeholder.test(text)),
    [],
  );
  assert.equal(answers.length, sent.length);
  for (const [index, { schema, version }] of requests.entries()) {
    const { correlation, body } = readResponse(schema, version, answers[index]!);
    assert.equal(correlation, index);
    const text = JSON.stringify(body, (_, value) => (typeof value === 'bigint' ? Number(value) : value));
    assert.match(text, /ErrorCode":(29|30|31|53|58|100)\b/, `${schema.name} ${version}: ${text}`);
  }
});

test('each is reported with verdict and rule', async () => {
  const reported = (id: string) => proxy.reports.filter((report) => report.classId === id);
  await until(() => reported('none').length >= requests.length, 'a report of each');
  assert.deepEqual([...new Set(reported('none').map(({ verdict }) => verdict))], ['denied']);
  assert.deepEqual([...new Set(reported('all').map(({ verdict }) => verdict))], ['allowed']);
  assert.deepEqual(
    [...new Set(reported('all').flatMap(({ ingressRules }) => ingressRules))],
    slotsOf('[{}]').flatMap(({ rules }) => rules.map(({ id }) => id)),
  );
});

describe('conformance', () => {
  test('there are cases', () => assert.ok(probes.length >= 30, `${probes.length}`));
  for (const { title, request, allowed, judged, egress, ingress } of probes) {
    test(`${title}: ${allowed ? 'allowed' : 'denied'}`, async () => {
      const { apiKey, apiVersion, clientId, topics } = request;
      const schema = schemaOf(apiKey, apiVersion);
      const frame = requestFrame(
        schema,
        apiVersion,
        5,
        clientId,
        sample(schema.request, apiVersion, topics, fixed),
      );
      const index = contents.indexOf(JSON.stringify([egress, ingress]));
      const { answers } = await exchange(1_002 + index, [frame], 1);
      const [arrived] = await broker.received();
      assert.equal(arrived?.equals(frame), allowed, 'the filter');
      assert.equal(judged, allowed, 'the engine');
      const { body } = readResponse(schema, apiVersion, answers[0]!);
      const text = JSON.stringify(body, (_, value) => (typeof value === 'bigint' ? Number(value) : value));
      // An API whose answer has errors only for topics has none to give where none is named.
      if (topics.length > 0) assert.equal(/ErrorCode":(29|30|31)\b/.test(text), !allowed, text);
    });
  }
});
