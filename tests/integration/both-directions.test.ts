import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import { DEATHSTAR, type Outcome, type Stage, setStage, stageNames } from '@weir/agent';
import { runName } from '../run-name.ts';
import { assertNothingLeft } from './leaks.ts';
import { waitUntil } from './wait-until.ts';

const names = stageNames(runName('both'));
const DROPPED: Outcome = { kind: 'failure', code: 'TIMEOUT' };

const INGRESS = `apiVersion: cilium.io/v2
kind: CiliumNetworkPolicy
metadata: {name: into-the-star, namespace: default}
spec:
  endpointSelector: {matchLabels: {class: deathstar}}
  ingress:
    - fromEndpoints: [{matchLabels: {org: empire}}]
      toPorts:
        - ports: [{port: "80", protocol: TCP}]
          rules: {http: [{path: "/v1/.*"}]}
`;
const EGRESS = `apiVersion: cilium.io/v2
kind: CiliumNetworkPolicy
metadata: {name: out-of-the-fighter, namespace: default}
spec:
  endpointSelector: {matchLabels: {class: tiefighter}}
  egress:
    - toEndpoints: [{matchLabels: {class: deathstar}}]
      toPorts:
        - ports: [{port: "80", protocol: TCP}]
          rules: {http: [{method: POST}]}
`;

describe('rules on both sides of a connection inside a node', () => {
  let stage: Stage;
  before(async () => {
    stage = await setStage(names);
  });
  after(async () => {
    await stage?.strike();
    assertNothingLeft(names);
  });

  const ask = (method: string, path: string, connection?: string): Promise<Outcome> =>
    stage.ships.tiefighter.send({
      address: DEATHSTAR,
      port: 80,
      method,
      path,
      ...(connection === undefined ? {} : { connection }),
    });
  const status = (outcome: Outcome): number | string =>
    outcome.kind === 'answer' ? outcome.status : outcome.code;

  it('egress rules alone are enforced at the source', async () => {
    stage.savePolicy('egress.yaml', EGRESS);
    await stage.sync();
    assert.equal(status(await ask('POST', '/other')), 200);
    assert.equal(status(await ask('GET', '/v1/x')), 403);
    const elsewhere = await stage.ships.tiefighter.send({
      address: '10.77.0.3',
      port: 80,
      method: 'POST',
      path: '/',
    });
    assert.deepEqual(elsewhere, DROPPED, 'egress is in default deny');
    const answer = await ask('POST', '/v1/x');
    assert.equal(answer.kind === 'answer' && JSON.parse(answer.body).client, '10.77.0.2');
  });

  it('both are obeyed in one pass through the proxy', async () => {
    stage.savePolicy('ingress.yaml', INGRESS);
    await stage.sync();
    const before = (await stage.status()).datapath.counters['redirected'] ?? 0;
    assert.equal(status(await ask('POST', '/v1/x')), 200);
    assert.equal(status(await ask('POST', '/other')), 403, 'refused by the destination');
    assert.equal(status(await ask('GET', '/v1/x')), 403, 'refused by the source');
    assert.equal(((await stage.status()).datapath.counters['redirected'] ?? 0) - before, 3);
  });

  it('an open connection that must now pass the other side too is cut, and its next one obeys both', async () => {
    stage.removePolicy('ingress.yaml');
    await waitUntil('the removal', 5_000, async () => {
      const outcome = await ask('POST', '/other');
      return status(outcome) === 200 ? { done: outcome } : { seen: outcome };
    });
    assert.equal(status(await ask('POST', '/other', 'held')), 200);
    stage.savePolicy('ingress.yaml', INGRESS);
    await stage.sync();
    const next = status(await ask('POST', '/other', 'held'));
    assert.ok(next === 'ECONNRESET' || next === 403, String(next));
    assert.equal(status(await ask('POST', '/other')), 403);
  });

  it('an open connection that loses its permission on layer 4 is cut', async () => {
    stage.removePolicy('ingress.yaml');
    stage.removePolicy('egress.yaml');
    await waitUntil('the removal', 5_000, async () => {
      const outcome = await ask('GET', '/');
      return status(outcome) === 200 ? { done: outcome } : { seen: outcome };
    });
    assert.equal(status(await ask('GET', '/', 'direct')), 200);
    stage.savePolicy(
      'ingress.yaml',
      INGRESS.replace('org: empire', 'org: alliance').replace(/\n +rules: .*/, ''),
    );
    await stage.sync();
    assert.equal(status(await ask('GET', '/', 'direct')), 'ECONNRESET');
    assert.deepEqual(await ask('GET', '/'), DROPPED);
  });

  it('widening cuts no connection', async () => {
    stage.savePolicy('ingress.yaml', INGRESS);
    await stage.sync();
    const first = await ask('GET', '/v1/x', 'kept');
    stage.savePolicy('more.yaml', INGRESS.replace('into-the-star', 'more').replace('"/v1/.*"', '"/v2/.*"'));
    await stage.sync();
    const second = await ask('GET', '/v1/x', 'kept');
    assert.deepEqual([status(first), status(second)], [200, 200]);
    assert.equal(
      second.kind === 'answer' && second.localPort,
      first.kind === 'answer' && first.localPort,
      'it is the same connection',
    );
    assert.equal(status(await ask('GET', '/v2/x')), 200);
  });
});
