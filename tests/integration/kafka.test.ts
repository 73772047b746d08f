import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { after, before, describe, it } from 'node:test';
import { DEATHSTAR, type Stage, setStage, stageNames } from '@weir/agent';
import { type Broker, startBroker } from '../kafka/support/broker.ts';
import { runName } from '../run-name.ts';
import { assertNothingLeft } from './leaks.ts';
import { waitUntil } from './wait-until.ts';

const names = stageNames(runName('kafka'));
const namespace = (pod: string): string => `weir-${names.instance}-${pod}`;

const POLICY = (topic: string): string => `apiVersion: cilium.io/v2
kind: CiliumNetworkPolicy
metadata: {name: broker, namespace: default}
spec:
  endpointSelector: {matchLabels: {class: deathstar}}
  ingress:
    - fromEndpoints: [{matchLabels: {org: empire}}]
      toPorts:
        - ports: [{port: "9092", protocol: TCP}]
          rules:
            kafka:
              - {role: produce, topic: ${topic}}
              - {role: consume, topic: ${topic}}
`;

/** Runs kcat in a pod. */
function kcat(pod: string, args: readonly string[], input = '') {
  const inside = [`--net=/run/netns/${namespace(pod)}`, 'timeout', '20', 'kcat', '-b', `${DEATHSTAR}:9092`];
  return spawnSync('nsenter', [...inside, ...args], { input, encoding: 'utf8' });
}

describe('Kafka rules on a node', () => {
  let stage: Stage;
  let broker: Broker;
  before(async () => {
    stage = await setStage(names);
    broker = await startBroker({ namespace: namespace('deathstar'), address: DEATHSTAR });
    stage.savePolicy('broker.yaml', POLICY('orders'));
    await stage.sync();
  });
  after(async () => {
    await broker?.stop();
    await stage?.strike();
    assertNothingLeft(names);
  });

  it('lets the allowed topic through and refuses others', () => {
    const written = kcat('tiefighter', ['-P', '-t', 'orders'], 'one\n');
    assert.equal(written.status, 0, written.stderr);
    const refused = kcat('tiefighter', ['-P', '-t', 'secrets'], 'one\n');
    assert.match(refused.stderr, /[Tt]opic authorization failed/);
  });

  it('lets nobody else in', () => {
    const outside = kcat('xwing', ['-L', '-m', '2']);
    assert.notEqual(outside.status, 0);
  });

  it('tells each request with the line that decided', async () => {
    const flows = await waitUntil('the flow of a refusal', 5_000, async () => {
      const last = await stage.flows(200);
      const denied = last.find(({ kafka, verdict }) => kafka?.api === 'metadata' && verdict === 'denied');
      return denied === undefined ? { seen: last.length } : { done: [denied, ...last] };
    });
    const [denied, ...others] = flows;
    assert.deepEqual(denied?.kafka?.topics, [{ name: 'secrets', refused: true }]);
    assert.match(denied?.rules[0]?.places[0] ?? '', /broker\.yaml:1[01]$/);
    const produced = others.find(({ kafka }) => kafka?.api === 'produce');
    assert.equal(produced?.verdict, 'allowed');
    assert.equal(produced?.source.endpoint, 'tiefighter');
    assert.match(produced?.rules[0]?.places[0] ?? '', /broker\.yaml:12$/);
  });

  it('an edit reaches the next request', async () => {
    stage.savePolicy('broker.yaml', POLICY('secrets'));
    await stage.sync();
    const written = kcat('tiefighter', ['-P', '-t', 'secrets'], 'one\n');
    assert.equal(written.status, 0, written.stderr);
    assert.match(kcat('tiefighter', ['-P', '-t', 'orders'], 'one\n').stderr, /[Tt]opic authorization failed/);
  });
});
