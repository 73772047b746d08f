import assert from 'node:assert/strict';
import { rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import { DEATHSTAR, type Flow, type Outcome, type Stage, setStage, stageNames } from '@weir/agent';
import { runName } from '../run-name.ts';
import { assertNothingLeft } from './leaks.ts';
import { waitUntil } from './wait-until.ts';

const names = stageNames(runName('headers'));
const policy = `apiVersion: cilium.io/v2
kind: CiliumNetworkPolicy
metadata: {name: headers, namespace: default}
spec:
  endpointSelector: {matchLabels: {org: empire, class: deathstar}}
  ingress:
    - fromEndpoints: [{matchLabels: {org: empire}}]
      toPorts:
        - ports: [{port: "80", protocol: TCP}]
          rules:
            http:
              - path: /token
                headerMatches: [{name: X-Token, secret: {name: token}}]
              - path: /team/[0-9]+
                headerMatches: [{name: X-Team, value: empire, mismatch: REPLACE}]
`;

describe('rules about headers, from files to flows', () => {
  let stage: Stage;
  before(async () => {
    stage = await setStage(names);
    stage.savePolicy('headers.yaml', policy);
    await stage.sync();
  });
  after(async () => {
    await stage?.strike();
    assertNothingLeft(names);
  });

  const ask = (path: string, headers: Readonly<Record<string, string>>): Promise<Outcome> =>
    stage.ships.tiefighter.send({ address: DEATHSTAR, port: 80, method: 'GET', path, headers });
  const status = async (path: string, headers: Readonly<Record<string, string>>): Promise<number> => {
    const outcome = await ask(path, headers);
    return outcome.kind === 'answer' ? outcome.status : 0;
  };
  const flowOf = (path: string, wanted: Flow['verdict']): Promise<Flow> =>
    waitUntil(`the flow of ${path}`, 5_000, async () => {
      const requests = (await stage.flows(1_000)).filter(({ request }) => request?.path === path);
      const found = requests.find(({ verdict }) => verdict === wanted);
      return found === undefined ? { seen: requests } : { done: found };
    });

  it('a secret is compared once it is known, and shown to nobody', async () => {
    assert.equal(await status('/token', { 'X-Token': 's3cret' }), 403);
    writeFileSync(join(stage.secretDirectory, 'default.token'), 's3cret\n');
    await stage.sync();
    assert.equal(await status('/token', { 'X-Token': 's3cret' }), 200);
    assert.equal(await status('/token', { 'X-Token': 'guess' }), 403);
    const flow = await flowOf('/token', 'allowed');
    assert.deepEqual(flow.request?.headers, { 'x-token': '***' });
    assert.match(flow.rules[0]?.places[0] ?? '', /headers\.yaml:12$/);
    rmSync(join(stage.secretDirectory, 'default.token'));
    await stage.sync();
    assert.equal(await status('/token', { 'X-Token': 's3cret' }), 403);
  });

  it('a header is replaced, and the flow says what the client had sent', async () => {
    const outcome = await ask('/team/7', { 'X-Team': 'rebels' });
    assert.ok(outcome.kind === 'answer' && outcome.status === 200, JSON.stringify(outcome));
    assert.equal(JSON.parse(outcome.body).headers['x-team'], 'empire');
    const flow = await flowOf('/team/7', 'allowed');
    assert.deepEqual(flow.request?.headers, { 'x-team': 'rebels' });
    assert.match(flow.rules[0]?.places[0] ?? '', /headers\.yaml:14$/);
  });
});
