/** grpc-js on both sides of the real Envoy: unary calls and streams, allowed and refused. */
import assert from 'node:assert/strict';
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { resolve } from 'node:path';
import { after, before, test } from 'node:test';
import { type EnvoyUnderTest, startEnvoy } from './support/envoy-under-test.ts';
import { entering, inside, makeNetwork, type TestNetwork } from './support/network.ts';
import { grpcRule, testClass } from './support/rules.ts';

const program = (name: string) => resolve(import.meta.dirname, 'support', name);

let network: TestNetwork;
let envoy: EnvoyUnderTest;
let server: ChildProcess;

before(async () => {
  network = makeNetwork('grpc');
  network.redirect(80, 15001);
  const [enter, ...words] = entering(network.server, process.execPath, program('grpc-server.ts'), '80');
  server = spawn(enter, words, { stdio: ['ignore', 'pipe', 'inherit'] });
  assert.ok(server.stdout !== null);
  await once(server.stdout, 'data');
  envoy = await startEnvoy(network.proxy);
  await envoy.setClasses([testClass('one', 15001, { ingress: [grpcRule('say', 'pkg[.]Greeter', 'Say.*')] })]);
});

after(async () => {
  await envoy?.stop();
  if (server?.exitCode === null) {
    server.kill('SIGTERM');
    await once(server, 'exit');
  }
  network?.remove();
});

test('all four kinds of calls pass, and what no rule allows gets PERMISSION_DENIED', () => {
  const printed = inside(
    network.client,
    process.execPath,
    program('grpc-client.ts'),
    `${network.serverAddress}:80`,
  );
  assert.deepEqual(JSON.parse(printed), {
    say: 'hello you',
    sayMany: [100, 'you 99'],
    sayAll: '500 messages',
    sayBoth: 200,
    shout: '7 Access denied',
    again: 'hello you',
    refusedStream: ['7 Access denied'],
  });
});
