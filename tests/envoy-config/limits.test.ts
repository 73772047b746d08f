/** What docs/http.md says of limits, through the real Envoy. */
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { after, before, test } from 'node:test';
import { type EnvoyUnderTest, startEnvoy } from './support/envoy-under-test.ts';
import { entering, inside, makeNetwork, type TestNetwork } from './support/network.ts';
import { type Peer, startPeer } from './support/peer-handle.ts';
import { httpRule, testClass } from './support/rules.ts';

let network: TestNetwork;
let envoy: EnvoyUnderTest;
let client: Peer;
let server: Peer;

const closed = 81;
const silent = 82;

before(async () => {
  network = makeNetwork('limits');
  for (const [index, port] of [80, closed, silent].entries()) network.redirect(port, 15_001 + index);
  [client, server] = await Promise.all([startPeer(network.client), startPeer(network.server)]);
  await server.serveScript(80);
  const drop = ['-p', 'tcp', '--dport', `${silent}`, '-j', 'DROP'];
  inside(network.server, 'iptables', '-w', '-A', 'INPUT', ...drop);
  envoy = await startEnvoy(network.proxy, {
    requestHeadersTimeoutMs: 300,
    connectTimeoutMs: 300,
    upstreamIdleTimeoutMs: 300,
  });
  const all = [httpRule('all', { path: '.*' })];
  await envoy.setClasses(
    [1, 2, 3].map((index) => testClass(`class-${index}`, 15_000 + index, { ingress: all })),
  );
});

after(async () => {
  await envoy?.stop();
  await Promise.all([client?.end(), server?.end()]);
  network?.remove();
});

async function status(request: string, port = 80): Promise<string | undefined> {
  const connection = await client.open(network.serverAddress, port);
  await connection.send(request);
  const { text } = await connection.receive('\r\n\r\n');
  await connection.close();
  return /^HTTP\/1\.1 (\d+)/.exec(text)?.[1];
}

const get = (headers = '') => `GET / HTTP/1.1\r\nHost: s\r\n${headers}\r\n`;
const base64 = (text: string) => Buffer.from(text, 'latin1').toString('base64');
const answer = (text: string) => `X-Answer: ${base64(text)}\r\n`;
const ok = 'HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n';

/** Returns when every limit on time that this test sets has passed. */
async function limitsPassed(): Promise<void> {
  assert.equal(await status('GET / HTTP/1.1\r\nHost: s\r\n'), '408');
}

test('headers beyond 96 KiB get 431', async () => {
  assert.equal(await status(get(`X-Big: ${'a'.repeat(90 * 1024)}\r\n${answer(ok)}`)), '200');
  assert.equal(await status(get(`X-Big: ${'a'.repeat(97 * 1024)}\r\n${answer(ok)}`)), '431');
});

test('more than 200 headers get 431', async () => {
  assert.equal(await status(get(answer(ok) + 'X-Many: 1\r\n'.repeat(150))), '200');
  assert.equal(await status(get(answer(ok) + 'X-Many: 1\r\n'.repeat(201))), '431');
});

test('headers that take too long get 408', async () => {
  assert.equal(await status('GET / HTTP/1.1\r\nHost: s\r\n'), '408');
});

test('a connection that asks nothing lives on', async () => {
  const connection = await client.open(network.serverAddress, 80);
  assert.equal(await status('GET / HTTP/1.1\r\nHost: s\r\n'), '408', 'the limit has passed meanwhile');
  await connection.send(get(answer(ok)));
  assert.match((await connection.receive('\r\n\r\n')).text, /^HTTP\/1\.1 200/);
  await connection.close();
});

test('more than 500 response headers get 502', async () => {
  const headers = (count: number) =>
    `HTTP/1.1 200 OK\r\n${'X-Many: 1\r\n'.repeat(count)}Content-Length: 0\r\n\r\n`;
  assert.equal(await status(get(answer(headers(400)))), '200');
  assert.equal(await status(get(answer(headers(501)))), '502');
});

test('a server that refuses or does not answer the connection gets 503', async () => {
  assert.equal(await status(get(), closed), '503');
  assert.equal(await status(get(), silent), '503');
});

test('an upstream connection ends soon after its last request, and the next request opens another', async () => {
  const connection = await client.open(network.serverAddress, 80);
  const ask = async () => {
    await connection.send(get(answer(ok)));
    assert.match((await connection.receive('\r\n\r\n')).text, /^HTTP\/1\.1 200/);
  };
  await ask();
  const upstream = () =>
    inside(network.proxy, 'ss', '-Htn', 'state', 'established', 'dst', network.serverAddress).trim();
  const deadline = performance.now() + 5_000;
  while (upstream() !== '') assert.ok(performance.now() < deadline, upstream());
  await ask();
  await connection.close();
});

test('events come while the response is open, and a quiet stream outlives every limit', async () => {
  const connection = await client.open(network.serverAddress, 80);
  const head = 'HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n';
  const event = (data: string) => `${(data.length + 8).toString(16)}\r\ndata: ${data}\n\n\r\n`;
  await connection.send(
    get(`${answer(head + event('one'))}X-Answer-When: events ${base64(`${event('two')}0\r\n\r\n`)}\r\n`),
  );
  assert.match((await connection.receive('data: one\n\n\r\n')).text, /^HTTP\/1\.1 200/);
  await limitsPassed();
  assert.equal(await status(get(`${answer(ok)}X-Release: events\r\n`)), '200');
  assert.match((await connection.receive('0\r\n\r\n$')).text, /data: two\n\n/);
  await connection.close();
});

test('a long poll outlives every limit', async () => {
  const connection = await client.open(network.serverAddress, 80);
  await connection.send(get(`X-Answer-When: poll ${base64(ok)}\r\n`));
  await limitsPassed();
  assert.equal(await status(get(`${answer(ok)}X-Release: poll\r\n`)), '200');
  assert.match((await connection.receive('\r\n\r\n')).text, /^HTTP\/1\.1 200/);
  await connection.close();
});

test('a body may take its time', async () => {
  const connection = await client.open(network.serverAddress, 80);
  await connection.send(`POST / HTTP/1.1\r\nHost: s\r\n${answer(ok)}Content-Length: 2\r\n\r\na`);
  await limitsPassed();
  await connection.send('b');
  assert.match((await connection.receive('\r\n\r\n')).text, /^HTTP\/1\.1 200/);
  await connection.close();
});

test('HTTP/2 says its windows and its number of streams', () => {
  const url = `http://${network.serverAddress}:80/`;
  const [enter, ...words] = entering(network.client, 'nghttp', '-nv', '--timeout=1', url);
  const { stdout } = spawnSync(enter, words, { encoding: 'utf8' });
  assert.match(stdout, /SETTINGS_MAX_CONCURRENT_STREAMS\(0x03\):1024\]/);
  assert.match(stdout, /SETTINGS_INITIAL_WINDOW_SIZE\(0x04\):262144\]/);
  // The connection's window is said as what is added to the 64 KiB that it begins with.
  assert.match(stdout, new RegExp(`window_size_increment=${8 * 1024 * 1024 - 65_535}\\)`));
});
