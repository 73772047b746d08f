import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import { DEATHSTAR, exampleText, type Stage, setStage, stageNames, weir } from '@weir/agent';
import { runName, temporaryFolder } from '../run-name.ts';
import { assertNothingLeft } from './leaks.ts';

const names = stageNames(runName('apply'));
const EXHAUST = { address: DEATHSTAR, port: 80, method: 'PUT', path: '/v1/exhaust-port' };

describe('weir policy apply and remove', () => {
  let stage: Stage;
  const folder = temporaryFolder('apply');
  const file = join(folder, 'deathstar.yaml');

  before(async () => {
    stage = await setStage(names);
  });
  after(async () => {
    rmSync(folder, { recursive: true });
    await stage?.strike();
    assertNothingLeft(names);
  });

  function policy(...words: readonly string[]) {
    const [program = '', ...rest] = weir(names);
    return spawnSync(program, [...rest, 'policy', ...words], { encoding: 'utf8' });
  }

  async function outcome(): Promise<number> {
    const answer = await stage.ships.tiefighter.send(EXHAUST);
    return answer.kind === 'answer' ? answer.status : 0;
  }

  it('returns when what a file says is in force', async () => {
    assert.equal(await outcome(), 200);
    writeFileSync(file, exampleText('2-landing-only.yaml'));
    const { status, stdout, stderr } = policy('apply', file);
    assert.equal(status, 0, stderr);
    assert.equal(stdout, 'in force\n');
    assert.equal(await outcome(), 403);
    assert.deepEqual(readdirSync(stage.policyDirectory), ['deathstar.yaml']);
  });

  it('changes nothing when one of the files is broken', async () => {
    const broken = join(folder, 'broken.yaml');
    writeFileSync(file, exampleText('1-empire-only.yaml'));
    writeFileSync(broken, 'kind: CiliumNetworkPolicy\n');
    const { status, stdout } = policy('apply', file, broken);
    assert.equal(status, 1);
    assert.match(stdout, /broken\.yaml:1:1: error: .*\n2 errors, 0 warnings; nothing was changed\n$/s);
    assert.equal(await outcome(), 403);
    assert.equal(
      readFileSync(join(stage.policyDirectory, 'deathstar.yaml'), 'utf8'),
      exampleText('2-landing-only.yaml'),
    );
  });

  it('refuses what the agent would not read', () => {
    const { status, stderr } = policy('apply', join(folder, 'deathstar.txt'));
    assert.notEqual(status, 0);
    assert.match(stderr, /the agent reads \.yaml, \.yml and \.json files only/);
  });

  it('takes files out', async () => {
    const missing = policy('remove', 'other.yaml');
    assert.notEqual(missing.status, 0);
    assert.match(missing.stderr, /there is no .*other\.yaml/);
    const { status, stdout, stderr } = policy('remove', 'deathstar.yaml');
    assert.equal(status, 0, stderr);
    assert.equal(stdout, 'in force\n');
    assert.equal(await outcome(), 200);
  });
});
