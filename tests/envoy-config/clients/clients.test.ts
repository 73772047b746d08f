/** Clients that people use, through the real Envoy: curl, nghttp2, Node's fetch, ws, grpc-go. */
import assert from 'node:assert/strict';
import { type ChildProcess, spawn, spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { once } from 'node:events';
import { rmSync, writeFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { after, before, test } from 'node:test';
import { temporaryFolder } from '../../run-name.ts';
import { type EnvoyUnderTest, startEnvoy } from '../support/envoy-under-test.ts';
import { entering, inside, makeNetwork, type TestNetwork } from '../support/network.ts';
import { grpcRule, httpRule, testClass } from '../support/rules.ts';

const program = (name: string) => resolve(import.meta.dirname, name);
const goClient = resolve(import.meta.dirname, '../../../build/http-client');
/** Weir itself needs no Go, so a machine may be without. */
const hasGo = spawnSync('go', ['version']).status === 0;
const upload = Buffer.alloc(20_000_000, 'weir');
const uploaded = `${upload.length} ${createHash('sha256').update(upload).digest('hex')}\n`;

let network: TestNetwork;
let envoy: EnvoyUnderTest;
let directory: string;
const servers: ChildProcess[] = [];

async function serve(...words: readonly string[]): Promise<void> {
  const [enter, ...rest] = entering(network.server, ...words);
  const child = spawn(enter, rest, { stdio: ['ignore', 'pipe', 'inherit'] });
  servers.push(child);
  assert.ok(child.stdout !== null);
  await once(child.stdout, 'data');
}

before(async () => {
  if (hasGo) {
    const build = spawnSync('go', ['build', '-o', goClient, '.'], { cwd: program('go') });
    assert.equal(build.status, 0, String(build.stderr));
  }
  directory = temporaryFolder('clients');
  writeFileSync(join(directory, 'upload'), upload);
  network = makeNetwork('clients');
  network.redirect(80, 15001);
  network.redirect(81, 15002);
  network.redirect(82, 15003);
  await serve(process.execPath, program('server.ts'));
  if (hasGo) await serve(goClient, 'serve', '82');
  envoy = await startEnvoy(network.proxy);
  const rules = [
    httpRule('public', { method: 'GET|HEAD', path: '/public/.*' }),
    httpRule('upload', { method: 'POST|PUT', path: '/upload' }),
    httpRule('socket', { method: 'GET', path: '/ws/.*' }),
  ];
  await envoy.setClasses([
    testClass('one', 15001, { ingress: rules }),
    testClass('two', 15002, { egress: rules, ingress: rules }),
    testClass('grpc', 15003, {
      ingress: [
        grpcRule('test', 'grpc[.]testing[.]TestService', '(Empty|Unary|Streaming.*|FullDuplex)Call'),
        grpcRule('reflection', 'grpc[.]reflection[.]v1[.]ServerReflection', null),
      ],
    }),
  ]);
});

after(async () => {
  await envoy?.stop();
  for (const server of servers) {
    const gone = once(server, 'exit');
    server.kill('SIGTERM');
    await gone;
  }
  network?.remove();
  if (directory !== undefined) rmSync(directory, { recursive: true });
});

const url = (path: string, port = 80) => `http://${network.serverAddress}:${port}${path}`;
const curl = (...words: readonly string[]) =>
  inside(network.client, 'curl', '-sS', '--max-time', '20', ...words);

for (const [version, port] of [
  ['--http1.0', 80],
  ['--http1.1', 80],
  ['--http2-prior-knowledge', 81],
] as const) {
  test(`curl ${version} gets, asks for headers, uploads and is refused`, () => {
    assert.equal(curl(version, url('/public/a?b', port)), 'hello /public/a?b\n');
    assert.match(
      curl(version, '-I', url('/public/a', port)),
      /^HTTP\/\S+ 200 .*\r\ncontent-type: text\/plain\r\n/is,
    );
    const file = join(directory, 'upload');
    assert.equal(curl(version, '-T', file, url('/upload', port)), uploaded);
    assert.equal(curl(version, '--data-binary', `@${file}`, url('/upload', port)), uploaded);
    assert.equal(curl(version, '-w', '%{http_code}', url('/private', port)), 'Access denied\r\n403');
  });
}

test('curl uploads in chunks, waiting for 100 Continue', () => {
  const file = join(directory, 'upload');
  const words = ['-v', '-H', 'Transfer-Encoding: chunked', '-H', 'Expect: 100-continue', '-T', file];
  assert.equal(curl('--stderr', join(directory, 'log'), ...words, url('/upload')), uploaded);
  const log = inside(network.client, 'cat', join(directory, 'log'));
  assert.match(log, /^< HTTP\/1\.1 100 Continue\r?$/m);
});

for (const [version, port] of [
  ['--http1.1', 80],
  ['--http2-prior-knowledge', 81],
] as const) {
  test(`curl ${version} reads and sends slowly what the proxy could move at once`, () => {
    const slowly = [version, '--limit-rate', '20M'];
    const count = ['-o', '/dev/null', '-w', '%{http_code} %{size_download}'];
    assert.equal(curl(...slowly, ...count, url('/public/large', port)), `200 ${upload.length}`);
    assert.equal(curl(...slowly, '-T', join(directory, 'upload'), url('/upload', port)), uploaded);
  });
}

test('curl keeps one connection over allowed and refused requests', () => {
  const each = ['-o', '/dev/null', '-w', '%{http_code} %{num_connects}\\n'];
  const printed = curl(...each, url('/public/a'), ...each, url('/private'), ...each, url('/public/b'));
  // The last ones take their output options from the first; what counts is that only one connects.
  const lines = printed.split('\n').filter((line) => /^\d{3} \d$/.test(line));
  assert.deepEqual(lines, ['200 1', '403 0', '200 0']);
});

test("curl's offer to upgrade to h2c goes unanswered, and the request is served", () => {
  assert.equal(curl('--http2', '-w', '%{http_version}', url('/public/a')), 'hello /public/a\n1.1');
});

test('nghttp sends a body with trailers and reads several streams', () => {
  const file = join(directory, 'upload');
  const words = ['--trailer=x-sum: 1', `--data=${file}`, '-H:method: POST'];
  assert.equal(inside(network.client, 'nghttp', ...words, url('/upload', 81)), uploaded);
  const both = inside(
    network.client,
    'nghttp',
    url('/public/a', 81),
    url('/private', 81),
    url('/public/b', 81),
  );
  assert.deepEqual(both.match(/hello \S+|Access denied/g)?.sort(), [
    'Access denied',
    'hello /public/a',
    'hello /public/b',
  ]);
});

// Over HTTP/1 without pipelining: Envoy closes a connection that holds three unsent refusals.
for (const [what, port, words] of [
  ['HTTP/2', 81, ['-m10']],
  ['HTTP/1.1', 80, ['--h1', '-m1']],
] as const) {
  test(`h2load has five thousand requests answered over ${what}, and as many refused`, () => {
    const load = (path: string) =>
      inside(network.client, 'h2load', ...words, '-n5000', '-c10', url(path, port));
    const allowed = load('/public/a');
    assert.match(allowed, /^requests: 5000 total, .* 5000 succeeded, 0 failed, 0 errored, 0 timeout$/m);
    assert.match(allowed, /^status codes: 5000 2xx, /m);
    const refused = load('/private');
    assert.match(refused, /^requests: 5000 total, .* 5000 done, .* 0 errored, 0 timeout$/m);
    assert.match(refused, /, 5000 4xx, 0 5xx$/m);
  });
}

test("Node's fetch and a pool of one keep their connections", () => {
  const printed = inside(network.client, process.execPath, program('fetch-client.ts'), url(''));
  assert.deepEqual(JSON.parse(printed), {
    fetched: { '200 hello /public/N': 150, '403 Access denied': 50, reused: true },
    pooled: 1,
    streamed: '1000000',
  });
});

test('WebSocket libraries exchange messages where the rules allow it', () => {
  const target = `${network.serverAddress}:80`;
  const printed = inside(network.client, process.execPath, program('websocket-client.ts'), target);
  assert.deepEqual(JSON.parse(printed), {
    library: {
      protocol: 'chat',
      deflate: 'permessage-deflate',
      text: 'over the proxy',
      same: true,
      ponged: 'are you there',
      code: 4001,
      reason: 'as asked',
    },
    refused: { status: 403, body: 'Access denied\r\n' },
    builtIn: 'hello',
  });
});

test('grpc-go makes the calls of the interoperability tests, and reflection', { skip: !hasGo }, () => {
  const printed = inside(network.client, goClient, 'call', `${network.serverAddress}:82`);
  assert.deepEqual(JSON.parse(printed), {
    services: [
      'grpc.reflection.v1.ServerReflection',
      'grpc.reflection.v1alpha.ServerReflection',
      'grpc.testing.TestService',
    ],
    files: 3,
    refused: 'PermissionDenied: Access denied',
    stream: 'PermissionDenied: Access denied',
  });
});
