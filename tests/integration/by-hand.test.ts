import assert from 'node:assert/strict';
import { type ChildProcess, execFile, spawn } from 'node:child_process';
import { mkdirSync, writeFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { after, before, describe, it } from 'node:test';
import { promisify } from 'node:util';
import {
  createNetwork,
  DEATHSTAR,
  type DemoNetwork,
  exampleText,
  type Flow,
  launchServer,
  launchShip,
  PODS,
  type Server,
  type Ship,
  type Status,
  stageNames,
  weir,
} from '@weir/agent';
import { runName } from '../run-name.ts';
import { assertNothingLeft } from './leaks.ts';
import { waitUntil } from './wait-until.ts';

const names = stageNames(runName('hand'));
const execute = promisify(execFile);
const ENVOY = resolve(import.meta.dirname, '../../build/envoy/envoy/_bin/envoy');
const LAND = { address: DEATHSTAR, port: 80, method: 'POST', path: '/v1/request-landing' };

describe('an agent without a workloads file, beside an Envoy that runs by itself', () => {
  let network: DemoNetwork;
  let ship: Ship;
  let server: Server;
  const processes: ChildProcess[] = [];

  /** Runs `weir` in the node's namespace. */
  async function command(...words: readonly string[]): Promise<string> {
    const [program, ...enter] = network.inNode;
    return (await execute(program, [...enter, ...weir(names), ...words])).stdout;
  }

  function start(...words: readonly string[]): void {
    const [program, ...enter] = network.inNode;
    processes.push(spawn(program, [...enter, ...words], { stdio: 'ignore' }));
  }

  const status = async (): Promise<Status> =>
    JSON.parse(await command('--json', 'status').catch((error) => error.stdout));

  before(async () => {
    network = await createNetwork(`weir-${names.instance}`, PODS);
    mkdirSync(join(names.runDirectory, 'policies'), { recursive: true });
    writeFileSync(join(names.runDirectory, 'policies/deathstar.yaml'), exampleText('2-landing-only.yaml'));
    server = await launchServer(network.inPod('deathstar'), [80, 8080]);
    ship = launchShip(network.inPod('tiefighter'));
    const files = ['--policies', join(names.runDirectory, 'policies'), '--state-dir', names.stateDirectory];
    start(...weir(names), 'agent', '--external-envoy', ...files);
    await waitUntil('the agent', 20_000, async () => {
      const answer = await command('--json', 'status').catch((error) => error);
      return answer instanceof Error && !('stdout' in answer && answer.stdout !== '')
        ? { seen: String(answer) }
        : { done: true };
    });
  });
  after(async () => {
    await ship?.close();
    await server?.close();
    await command('uninstall', '--force', '--state-dir', names.stateDirectory);
    for (const child of processes) child.kill('SIGKILL');
    await network.remove();
    assertNothingLeft(names);
  });

  it('protects workloads that are added by name of interface or of namespace', async () => {
    await command(
      'endpoint',
      'add',
      'deathstar',
      '--label',
      'org=empire',
      '--label',
      'class=deathstar',
      '--address',
      DEATHSTAR,
      '--interface',
      'weir-deathstar',
    );
    await command(
      'endpoint',
      'add',
      'tiefighter',
      '--label',
      'org=empire',
      '--address',
      '10.77.0.2',
      '--netns',
      network.namespaceOf('tiefighter'),
    );
    const listed: readonly { name: string; origin: string }[] = JSON.parse(
      await command('--json', 'endpoint', 'list'),
    );
    assert.deepEqual(
      listed.map(({ name, origin }) => `${name} ${origin}`),
      ['deathstar api', 'tiefighter api'],
    );
    assert.deepEqual(
      (await status()).workloads.map(({ protected: isProtected }) => isProtected),
      [true, true],
    );
  });

  it('refuses L7 connections while no Envoy is there, and says what it waits for', async () => {
    assert.deepEqual(await ship.send(LAND), { kind: 'failure', code: 'TIMEOUT' });
    const { healthy, envoy, classes } = await status();
    assert.deepEqual(
      [healthy, envoy.connected, classes.map(({ state }) => state)],
      [false, false, ['waiting']],
    );
  });

  it('serves through an Envoy that was started from `weir envoy bootstrap`', async () => {
    const bootstrap = join(names.runDirectory, 'bootstrap.json');
    writeFileSync(bootstrap, await command('envoy', 'bootstrap'));
    start(ENVOY, '-c', bootstrap, '--disable-hot-restart', '--log-level', 'off', '--concurrency', '1');
    await waitUntil('Envoy', 20_000, async () => {
      const { healthy, classes, envoy } = await status();
      return healthy ? { done: true } : { seen: { classes, envoy } };
    });
    const landed = await ship.send(LAND);
    assert.equal(landed.kind === 'answer' && landed.status, 200);
    const refused = await ship.send({ ...LAND, path: '/v1/exhaust-port' });
    assert.equal(refused.kind === 'answer' && refused.status, 403);
  });

  it('tells all of it in tables and in JSON', async () => {
    assert.match(await command('status'), /healthy/);
    assert.match(await command('endpoint', 'list'), /deathstar +default +10\.77\.0\.1/);
    const lines = (await command('--json', 'monitor', '--last', '100', '--no-follow')).trim().split('\n');
    const flows = lines.map((line): Flow => JSON.parse(line));
    // The subject keeps its version from before the ship came, which lets nobody in.
    const refused = flows.find(({ kind, verdict }) => kind === 'connection' && verdict === 'denied');
    assert.deepEqual([refused?.reason, refused?.source.endpoint], ['policy-default-deny', 'tiefighter']);
    const query = [
      '--from',
      'tiefighter',
      '--to',
      'deathstar',
      '--port',
      '80',
      '--http',
      'PUT /v1/exhaust-port',
    ];
    assert.match(await command('policy', 'explain', ...query), /^DENIED: /);
  });

  it('keeps added workloads over a restart, and lets go of those that are removed', async () => {
    const agent = processes[0];
    const gone = new Promise((resolve) => agent?.once('exit', resolve));
    process.kill((await status()).pid, 'SIGTERM');
    await gone;
    const files = ['--policies', join(names.runDirectory, 'policies'), '--state-dir', names.stateDirectory];
    start(...weir(names), 'agent', '--external-envoy', ...files);
    await waitUntil('the agent', 20_000, async () => {
      const answer = await status().catch((error) => String(error));
      return typeof answer === 'string' ? { seen: answer } : { done: answer };
    });
    assert.deepEqual(
      (await status()).workloads.map(({ name }) => name),
      ['deathstar', 'tiefighter'],
    );
    await command('endpoint', 'remove', 'tiefighter');
    assert.deepEqual(
      (await status()).workloads.map(({ name }) => name),
      ['deathstar'],
    );
    await assert.rejects(command('endpoint', 'remove', 'nobody'), /there is no workload nobody/);
  });

  it('refuses a second agent of the same instance', async () => {
    const files = ['--policies', join(names.runDirectory, 'policies'), '--state-dir', names.stateDirectory];
    await assert.rejects(
      command('agent', '--external-envoy', ...files),
      /another agent of this instance is running/,
    );
  });
});
