import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import { promisify } from 'node:util';
import {
  DEATHSTAR,
  DEATHSTAR6,
  exampleText,
  PODS,
  type Stage,
  setStage,
  stageNames,
  weir,
} from '@weir/agent';
import { assertNothingLeft } from '../integration/leaks.ts';
import { runName } from '../run-name.ts';

const names = stageNames(runName('newcomer'));
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

    await killAgent(stage);
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

describe("a workload that comes while the agent is down, where it is known which addresses are workloads'", () => {
  const guarded = stageNames(runName('guarded'));
  let stage: Stage;

  before(async () => {
    const prefixes = ['10.77.0.0/24', 'fd77::/64'];
    stage = await setStage(
      guarded,
      prefixes.flatMap((prefix) => ['--workload-cidr', prefix]),
    );
  });
  after(async () => {
    await stage?.strike();
    assertNothingLeft(guarded);
  });

  it('reaches nobody and is reached by nobody, until an agent knows it', async () => {
    const workloads = exampleText('workloads.yaml');
    const [others = ''] = workloads.split(/^.*name: xwing/m);
    const { xwing: newcomer, tiefighter } = stage.ships;
    const deathstar = { ...HELLO, address: DEATHSTAR };
    const kindOf = async (ship: typeof newcomer, query: typeof HELLO): Promise<string> =>
      (await ship.send({ ...query, timeoutMs: 500 })).kind;
    const ways = async (): Promise<readonly string[]> => [
      await kindOf(newcomer, deathstar),
      await kindOf(newcomer, { ...deathstar, address: DEATHSTAR6 }),
      await kindOf(tiefighter, HELLO),
    ];
    assert.deepEqual(await ways(), ['answer', 'answer', 'answer']);
    writeFileSync(join(guarded.runDirectory, 'workloads.yaml'), others);
    await stage.sync();

    await killAgent(stage);
    // Its programs go with its interface: it is as new as if it had just come.
    const [program, ...enter] = stage.network.inNode;
    for (const hook of ['ingress', 'egress'])
      await execute(program, [...enter, 'tc', 'filter', 'del', 'dev', xwing.interface, hook]);
    for (const kind of await ways()) assert.notEqual(kind, 'answer');
    assert.equal(await kindOf(tiefighter, deathstar), 'answer', 'others are left alone');

    writeFileSync(join(guarded.runDirectory, 'workloads.yaml'), workloads);
    await stage.startAgent();
    assert.deepEqual(await ways(), ['answer', 'answer', 'answer']);
  });
});

async function killAgent(stage: Stage): Promise<void> {
  const agent = stage.agent();
  assert.ok(agent?.pid);
  const gone = new Promise((resolve) => agent.once('exit', resolve));
  process.kill(agent.pid, 'SIGKILL');
  await gone;
}
