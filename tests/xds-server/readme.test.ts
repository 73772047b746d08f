// The README's example serves a real Envoy as it stands, but for the addresses.
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { test } from 'node:test';
import { temporaryFolder } from '../run-name.ts';
import { startEnvoy, temporaryDirectory } from './envoy-under-test.ts';

const root = resolve(import.meta.dirname, '../..');

test('the README example puts a cluster in force at an Envoy', async (t) => {
  const readme = readFileSync(join(root, 'xds-server/README.md'), 'utf8');
  const example = /^```ts\n(.*?)^```/ms.exec(readme)?.[1] ?? '';
  assert.match(example, /inForce/);
  const socket = join(temporaryDirectory(t), 'xds.sock');
  // Inside the repository, where the packages are found.
  const folder = temporaryFolder('readme', join(root, 'build'));
  t.after(() => rmSync(folder, { recursive: true }));
  const file = join(folder, 'example.ts');
  const told = "console.log('in force', result.clients); // every client";
  writeFileSync(
    file,
    example
      .replace('/run/xds.sock', socket)
      .replace('port: 18000', 'port: 0')
      .replace('// every client', told),
  );
  const child = spawn(process.execPath, [file], { stdio: ['ignore', 'pipe', 'pipe'] });
  t.after(() => child.kill('SIGKILL'));
  let output = '';
  for (const stream of [child.stdout, child.stderr]) {
    stream.setEncoding('utf8').on('data', (text: string) => {
      output += text;
    });
  }
  startEnvoy(t, { id: 'reader', variant: 'delta', xdsSocket: socket });
  const status = await new Promise<number | null>((done) => child.once('exit', done));
  assert.equal(output, "in force [ 'reader' ]\n");
  assert.equal(status, 0);
});
