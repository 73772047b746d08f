import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { after, before, describe, it } from 'node:test';
import { DEATHSTAR, exampleText, type Stage, setStage, stageNames, weir } from '@weir/agent';
import { runName } from '../run-name.ts';
import { assertNothingLeft } from './leaks.ts';

const names = stageNames(runName('fast'));
const LAND = { address: DEATHSTAR, port: 80, method: 'POST', path: '/v1/request-landing' };

describe('an agent that accelerates', () => {
  let stage: Stage;

  before(async () => {
    stage = await setStage(names, ['--accelerate', 'on']);
    stage.savePolicy('deathstar.yaml', exampleText('2-landing-only.yaml'));
    await stage.sync();
  });
  after(async () => {
    await stage?.strike();
    assertNothingLeft(names);
  });

  const land = async (path = LAND.path): Promise<number | string> => {
    const outcome = await stage.ships.tiefighter.send({ ...LAND, path, connection: 'kept' });
    return outcome.kind === 'answer' ? outcome.status : outcome.code;
  };
  const accelerated = async (): Promise<number> =>
    (await stage.status()).datapath.accelerationCounters['accelerated'] ?? 0;

  it('enforces the same, around TCP', async () => {
    const earlier = await accelerated();
    for (let request = 0; request < 10; request += 1) {
      assert.equal(await land(), 200);
      assert.equal(await land('/v1/exhaust-port'), 403);
    }
    assert.ok((await accelerated()) > earlier + 10);
  });

  it('says so', () => {
    const [program = '', ...words] = weir(names);
    const told = execFileSync(program, [...words, 'status'], { encoding: 'utf8' });
    assert.match(told, /\nacceleration: on, joined \d+, /);
  });

  it('ends what is revoked', async () => {
    const others = exampleText('2-landing-only.yaml').replaceAll(
      '- matchLabels: { org: empire }',
      '- matchLabels: { org: alliance }',
    );
    stage.savePolicy('deathstar.yaml', others);
    await stage.sync();
    assert.match(String(await land()), /ECONNRESET|TIMEOUT/);
  });
});
