import assert from 'node:assert/strict';
import { execFile, spawn } from 'node:child_process';
import { createInterface } from 'node:readline';
import { after, before, describe, it } from 'node:test';
import { promisify } from 'node:util';
import { DEATHSTAR, exampleText, PODS, type Stage, setStage, stageNames, weir } from '@weir/agent';
import { runName } from '../run-name.ts';
import { assertNothingLeft } from './leaks.ts';
import { waitUntil } from './wait-until.ts';

const names = stageNames(runName('seeing'));
const LAND = { address: DEATHSTAR, port: 80, method: 'POST', path: '/v1/request-landing' };
const execute = promisify(execFile);
const addressOf = (pod: string): string => PODS.find(({ name }) => name === pod)?.address ?? '';

describe('seeing what the kernel does', () => {
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

  const inNode = (...words: readonly string[]): readonly [string, string[]] => {
    const [program, ...enter] = stage.network.inNode;
    return [program, [...enter, ...weir(names), ...words]];
  };
  const run = async (...words: readonly string[]): Promise<string> =>
    (await execute(...inNode(...words))).stdout;
  // biome-ignore lint/suspicious/noExplicitAny: JSON that the assertions take apart.
  const json = async (...words: readonly string[]): Promise<any> => JSON.parse(await run('--json', ...words));

  it('traces a connection from workload to workload, with the lines of policy', async () => {
    const before = await json('bpf', 'outcomes', 'list');
    const refused = await run('trace', '--from', 'xwing', '--to', 'deathstar', '--port', '80');
    assert.match(refused, /^xwing 10\.77\.0\.3:40000 -> deathstar 10\.77\.0\.1:80 TCP\n/);
    assert.match(refused, /\n {2}ingress of subject \d+, peer identity \d+, generation \d+: no entry\n/);
    assert.match(refused, /kernel: denied, ingress: policy-default-deny/);
    assert.match(refused, /deathstar\.yaml:\d+/);
    const { port } = (await stage.status()).classes[0] ?? { port: 0 };
    const redirected = await run('trace', '--from', 'tiefighter', '--to', 'deathstar', '--port', '80');
    assert.match(redirected, new RegExp(`kernel: redirected to proxy port ${port}\\n`));
    assert.match(redirected, /generation \d+: peer \d+, TCP 80: L7 set \d+\n/);
    const open = await run('trace', '--from', 'deathstar', '--to', 'xwing', '--port', '80');
    assert.match(
      open,
      / {2}from-workload at weir-deathstar: pass\n {2}to-workload at weir-xwing: pass\n(?: {2}(?:in|e)gress of subject .*: not enforced\n){2}kernel: allowed/,
    );
    assert.deepEqual(await json('bpf', 'outcomes', 'list'), before, 'a trace leaves no trace');
    assert.deepEqual(await json('bpf', 'ct', 'list'), []);
  });

  it('says where a trace must run', async () => {
    const [program = '', ...words] = weir(names);
    const trace = execute(program, [
      ...words,
      'trace',
      '--from',
      'xwing',
      '--to',
      'deathstar',
      '--port',
      '80',
    ]);
    await assert.rejects(trace, /another network namespace: nsenter --net=\/proc\/\d+\/ns\/net weir trace/);
  });

  it('lists connections, prefixes and outcomes', async () => {
    const landed = await stage.ships.tiefighter.send({ ...LAND, connection: 'kept' });
    assert.equal(landed.kind === 'answer' && landed.status, 200);
    assert.deepEqual(await stage.ships.xwing.send({ ...LAND, timeoutMs: 200 }), {
      kind: 'failure',
      code: 'TIMEOUT',
    });
    const table = await run('bpf', 'ct', 'list');
    assert.match(
      table,
      /^PROTOCOL +SOURCE .*\nTCP +10\.77\.0\.2:\d+ +\d+ +10\.77\.0\.1:80 +\d+ +(proxy port \d+|from the proxy)/,
    );
    assert.match(
      await run('bpf', 'policy', 'list'),
      /^GENERATION +OF +PEER .*\n(.*\n)*\d+ +ingress \S*10\.77\.0\.1\S* +peer \d+ +TCP 80 +L7 set \d+\n/,
    );
    const prefixes: readonly { prefix: string }[] = await json('bpf', 'ipcache', 'list');
    assert.ok(prefixes.some(({ prefix }) => prefix === `${DEATHSTAR}/32`));
    const outcomes: readonly { interface: string; direction: string; reason: string; packets: number }[] =
      await json('bpf', 'outcomes', 'list');
    const found = (link: string, reason: string) =>
      outcomes.find((row) => row.interface === link && row.reason === reason);
    assert.ok((found('weir-tie', 'redirected')?.packets ?? 0) >= 1);
    assert.equal(found('weir-xwing', 'policy-default-deny')?.direction, 'ingress');
  });

  it('needs no agent', async () => {
    const agent = stage.agent();
    assert.ok(agent?.pid);
    const gone = new Promise((resolve) => agent.once('exit', resolve));
    process.kill(agent.pid, 'SIGKILL');
    await gone;
    const [from, to] = [addressOf('xwing'), DEATHSTAR];
    const refused = await run('trace', '--from', from, '--to', to, '--port', '80');
    assert.equal(refused.split('\n').at(-2), 'kernel: denied, ingress: policy-default-deny');
    await assert.rejects(run('trace', '--from', 'xwing', '--to', to, '--port', '80'), /no agent answers/);
    assert.ok((await json('bpf', 'ipcache', 'list')).length > 0);

    const monitor = spawn(...inNode('monitor', '--drops'), { stdio: ['ignore', 'pipe', 'inherit'] });
    const lines: string[] = [];
    createInterface({ input: monitor.stdout }).on('line', (line) => lines.push(line));
    await waitUntil('a drop', 60_000, async () => {
      await stage.ships.xwing.send({ ...LAND, timeoutMs: 50 });
      const line = lines.find((text) => text.includes(`${to}:80`));
      return line === undefined ? { seen: lines } : { done: line };
    });
    assert.match(
      lines[0] ?? '',
      /denied .*10\.77\.0\.3:\d+ -> .*10\.77\.0\.1:80 TCP \(policy-default-deny\)/,
    );
    monitor.kill('SIGTERM');
    await new Promise((resolve) => monitor.once('exit', resolve));
    await stage.startAgent();
  });
});
