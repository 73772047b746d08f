import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import { promisify } from 'node:util';
import { exampleText, PODS, type Stage, setStage, stageNames, weir } from '@weir/agent';
import { assertNothingLeft } from '../integration/leaks.ts';

const names = stageNames(`newcomer${process.pid}`);
const execute = promisify(execFile);
const xwing = PODS.find(({ name }) => name === 'xwing')!;
const HELLO = { address: xwing.address, port: 80, method: 'GET', path: '/' };

describe('a workload that comes while the agent is down', () => {
  let stage: Stage;

  before(async () => {
    stage = await setStage(names);
  });
  after(async () => {
    await stage?.strike();
    assertNothingLeft(names);
  });

  const add = (): Promise<unknown> => {
    const [program, ...enter] = stage.network.inNode;
    const words = ['endpoint', 'add', 'newcomer', '--label', 'org=alliance', '--address', xwing.address];
    return execute(program, [...enter, ...weir(names), ...words, '--interface', xwing.interface]);
  };
  const answers = async (): Promise<boolean> => {
    const outcome = await stage.ships.tiefighter.send({ ...HELLO, timeoutMs: 500 });
    return outcome.kind === 'answer' && outcome.status === 200;
  };

  it('is closed by the command that adds it, and opened when the agent knows it', async () => {
    const [others = ''] = exampleText('workloads.yaml').split(/^.*name: xwing/m);
    writeFileSync(join(names.runDirectory, 'workloads.yaml'), others);
    await stage.sync();
    assert.equal(await answers(), true, 'nobody protects it, so nobody restricts it');

    const agent = stage.agent();
    assert.ok(agent?.pid);
    const gone = new Promise((resolve) => agent.once('exit', resolve));
    process.kill(agent.pid, 'SIGKILL');
    await gone;
    await assert.rejects(
      add(),
      new RegExp(
        `no agent answers on .*; nothing passes on ${xwing.interface} until an agent knows newcomer`,
      ),
    );
    assert.equal(await answers(), false);

    await stage.startAgent();
    assert.equal(await answers(), false, 'an agent that does not know it leaves it closed');
    await add();
    assert.equal(await answers(), true);
  });
});
