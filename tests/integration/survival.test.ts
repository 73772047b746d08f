import assert from 'node:assert/strict';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import { DEATHSTAR, exampleText, type Outcome, type Stage, setStage, stageNames } from '@weir/agent';
import { runName } from '../run-name.ts';
import { assertNothingLeft } from './leaks.ts';
import { waitUntil } from './wait-until.ts';

const names = stageNames(runName('alive'));
const LAND = { address: DEATHSTAR, port: 80, method: 'POST', path: '/v1/request-landing' };
const EXHAUST = { address: DEATHSTAR, port: 80, method: 'PUT', path: '/v1/exhaust-port' };
const HANGAR = { address: DEATHSTAR, port: 8080, method: 'GET', path: '/v1/hangar' };

describe('when parts die', () => {
  let stage: Stage;

  before(async () => {
    stage = await setStage(names);
    stage.savePolicy('deathstar.yaml', exampleText('2-landing-only.yaml'));
    await stage.sync();
  });
  after(async () => {
    await stage?.strike();
    assertNothingLeft(names);
  });

  /** Requests without a pause, on kept and on new connections, until `stop` is called. */
  function load(): { stop(): Promise<readonly Outcome[]> } {
    const outcomes: Outcome[] = [];
    let going = true;
    const lines = ['kept-1', 'kept-2', undefined].map(async (connection) => {
      while (going) {
        const request = { ...LAND, timeoutMs: 5_000 };
        outcomes.push(
          await stage.ships.tiefighter.send(connection === undefined ? request : { ...request, connection }),
        );
      }
    });
    return {
      async stop() {
        going = false;
        await Promise.all(lines);
        return outcomes;
      },
    };
  }

  const failed = (outcome: Outcome): boolean => outcome.kind !== 'answer' || outcome.status !== 200;

  async function killAgent(): Promise<void> {
    const agent = stage.agent();
    assert.ok(agent?.pid);
    const gone = new Promise((resolve) => agent.once('exit', resolve));
    process.kill(agent.pid, 'SIGKILL');
    await gone;
  }

  it('an agent that is killed under load costs no request, and the next one takes everything over', async () => {
    const before = await stage.status();
    const running = load();
    await killAgent();
    const refused = await stage.ships.tiefighter.send(EXHAUST);
    assert.equal(refused.kind === 'answer' && refused.status, 403, 'policy is enforced without an agent');
    const dropped = await stage.ships.xwing.send(LAND);
    assert.deepEqual(dropped, { kind: 'failure', code: 'TIMEOUT' });
    await stage.startAgent();
    await stage.sync();
    const outcomes = await running.stop();
    assert.deepEqual(outcomes.filter(failed), []);
    assert.ok(outcomes.length > 50, `${outcomes.length} requests`);
    const after = await stage.status();
    assert.equal(after.datapath.adopted, true);
    assert.equal(after.envoy.pid, before.envoy.pid);
    assert.deepEqual(after.classes, before.classes);
    assert.deepEqual(
      after.workloads.map(({ identity }) => identity),
      before.workloads.map(({ identity }) => identity),
    );
    assert.equal(after.healthy, true, JSON.stringify(after));
  });

  it('a policy that was broken while the agent was away keeps enforcing what it said', async () => {
    await killAgent();
    stage.savePolicy('deathstar.yaml', 'spec: [');
    await stage.startAgent();
    await stage.sync();
    assert.equal((await stage.status()).healthy, false);
    const refused = await stage.ships.tiefighter.send(EXHAUST);
    assert.equal(refused.kind === 'answer' && refused.status, 403);
    assert.deepEqual(await stage.ships.xwing.send(LAND), { kind: 'failure', code: 'TIMEOUT' });
    stage.savePolicy('deathstar.yaml', exampleText('2-landing-only.yaml'));
    await stage.sync();
    assert.equal((await stage.status()).healthy, true);
  });

  it('a workloads file that broke while the agent was away leaves nobody unprotected', async () => {
    await killAgent();
    writeFileSync(join(names.runDirectory, 'workloads.yaml'), 'workloads: [');
    await stage.startAgent();
    const status = await stage.status();
    assert.equal(status.healthy, false);
    assert.deepEqual(
      status.workloads.map(({ name, protected: isProtected }) => [name, isProtected]),
      [
        ['deathstar', true],
        ['tiefighter', true],
        ['xwing', true],
      ],
    );
    assert.deepEqual(await stage.ships.xwing.send(LAND), { kind: 'failure', code: 'TIMEOUT' });
    writeFileSync(join(names.runDirectory, 'workloads.yaml'), exampleText('workloads.yaml'));
    await stage.sync();
    assert.equal((await stage.status()).healthy, true);
  });

  it('an Envoy that is killed closes the redirected port and nothing else, and is back within 2 seconds', async () => {
    const { envoy } = await stage.status();
    assert.ok(envoy.pid);
    const killedAt = performance.now();
    process.kill(envoy.pid, 'SIGKILL');
    const shut = await waitUntil('the refusal', 2_000, async () => {
      const outcome = await stage.ships.tiefighter.send({ ...LAND, timeoutMs: 200 });
      return outcome.kind === 'failure' ? { done: outcome } : { seen: outcome };
    });
    assert.ok(['ECONNREFUSED', 'ECONNRESET', 'TIMEOUT'].includes(shut.code), shut.code);
    const open = await stage.ships.tiefighter.send(HANGAR);
    assert.equal(open.kind === 'answer' && open.status, 200, 'what is not redirected goes on');
    await waitUntil('Envoy', 5_000, async () => {
      const outcome = await stage.ships.tiefighter.send({ ...LAND, timeoutMs: 200 });
      return failed(outcome) ? { seen: outcome } : { done: outcome };
    });
    const awayMs = performance.now() - killedAt;
    assert.ok(awayMs < 2_000, `Envoy was away for ${awayMs.toFixed(0)} ms`);
    const refused = await stage.ships.tiefighter.send(EXHAUST);
    assert.equal(refused.kind === 'answer' && refused.status, 403);
  });
});
