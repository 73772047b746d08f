import assert from 'node:assert/strict';
import { rmSync, writeFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { afterEach, beforeEach, test } from 'node:test';
import {
  askAdmin,
  checkEnvoyVersion,
  createEnvoyProcess,
  type EnvoyEvent,
  type EnvoyProcess,
  type EnvoyProcessOptions,
  envoyBootstrap,
  isAlive,
  type ProcessRecord,
  processIdentity,
} from '@weir/envoy-config';
import { temporaryFolder } from '../run-name.ts';
import { pollProcess, until } from './support/envoy-under-test.ts';

const binaryPath = resolve(import.meta.dirname, '../../build/envoy/envoy/_bin/envoy');

let directory: string;
let recorded: ProcessRecord | null;
let events: EnvoyEvent[];
let running: EnvoyProcess[];

beforeEach(() => {
  directory = temporaryFolder('process');
  recorded = null;
  events = [];
  running = [];
});

afterEach(async () => {
  const last = recorded;
  for (const each of running) await each.stop(5_000);
  assert.ok(last === null || !isAlive(last), 'no Envoy is left behind');
  rmSync(directory, { recursive: true });
});

const at = (name: string) => join(directory, name);

function supervisor(changes: Partial<EnvoyProcessOptions> = {}): EnvoyProcess {
  const made = createEnvoyProcess({
    binaryPath,
    bootstrap: envoyBootstrap({
      nodeId: 'n',
      nodeCluster: 'c',
      adminSocketPath: at('admin.sock'),
      xdsSocketPath: at('xds.sock'),
      accessLogSocketPath: at('als.sock'),
      maxHeapBytes: 1 << 30,
      maxConnections: 1_000,
    }),
    bootstrapPath: at('bootstrap.json'),
    logPath: at('envoy.log'),
    adminSocketPath: at('admin.sock'),
    concurrency: 1,
    logLevel: 'error',
    enter: [],
    store: {
      load: () => recorded,
      save: (record) => {
        recorded = record;
      },
    },
    watchProcess: pollProcess,
    onEvent: (event) => events.push(event),
    ...changes,
  });
  running.push(made);
  return made;
}

const kinds = () => events.map(({ kind }) => kind);
// Without an xDS server Envoy is live, but stays in its first initialisation for a while.
const lives = () =>
  until(
    async () => (await askAdmin(at('admin.sock'), '/server_info').catch(() => null)) !== null,
    'Envoy answers',
    20_000,
  );

test('the pinned binary is the one that the types describe', async () => {
  assert.equal((await checkEnvoyVersion(binaryPath)).kind, 'same');
});

test('Envoy takes the bootstrap, has its own session, and outlives its supervisor', async () => {
  const first = supervisor();
  assert.equal(await first.start(), 'started');
  await lives();
  const record = recorded as ProcessRecord | null;
  assert.ok(record !== null && isAlive(record));
  first.detach();
  assert.ok(isAlive(record));

  const second = supervisor();
  assert.equal(await second.start(), 'adopted');
  assert.deepEqual(kinds(), ['started', 'adopted']);
  await second.stop(5_000);
  assert.ok(!isAlive(record));
  assert.equal(second.state.kind, 'stopped');
});

test('a killed Envoy is back within two seconds', async () => {
  const envoy = supervisor();
  await envoy.start();
  await lives();
  const killed = recorded!.pid;
  const since = performance.now();
  process.kill(killed, 'SIGKILL');
  await until(() => recorded?.pid !== killed, 'another process runs');
  await lives();
  assert.ok(performance.now() - since < 2_000, `${performance.now() - since} ms`);
  assert.ok(kinds().includes('exited'));
});

test('an Envoy that nobody recorded, with another bootstrap or not, does not stay beside a new one', async () => {
  const lost = supervisor();
  await lost.start();
  await lives();
  const orphan = recorded!;
  lost.detach();
  recorded = null;
  assert.equal(await supervisor().start(), 'started');
  await until(() => !isAlive(orphan), 'the process is gone, not only its admin socket');

  const replaced = recorded!;
  running.at(-1)?.detach();
  assert.equal(await supervisor({ concurrency: 2 }).start(), 'started');
  await until(() => !isAlive(replaced), 'the process is gone, not only its admin socket');
});

test('a binary that is not there is said, and a process that soon dies is tried with growing pauses', async () => {
  await assert.rejects(supervisor({ binaryPath: '/nowhere/envoy' }).start(), /cannot start \/nowhere\/envoy/);
  writeFileSync(at('dies'), '#!/bin/sh\nsleep 0.05\nexit 1\n', { mode: 0o755 });
  const failing = supervisor({ binaryPath: at('dies') });
  await failing.start();
  await until(() => events.filter(({ kind }) => kind !== 'started').length >= 3, 'it was tried again');
  const pauses = events.flatMap((event) => ('restartInMs' in event ? [event.restartInMs] : []));
  assert.deepEqual(
    pauses.slice(0, 3),
    [...pauses.slice(0, 3)].sort((a, b) => a - b),
  );
});

test('a process is not taken for another one with its pid', () => {
  const own = processIdentity(process.pid)!;
  assert.ok(isAlive(own));
  assert.ok(!isAlive({ ...own, startTime: '1' }));
  assert.ok(!isAlive({ ...own, bootId: 'another boot' }));
});
