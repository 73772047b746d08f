/** What docs/http.md says of limits, through the real Envoy. */
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { type EnvoyUnderTest, startEnvoy } from './support/envoy-under-test.ts';
import { inside, makeNetwork, type TestNetwork } from './support/network.ts';
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
const answer = (text: string) => `X-Answer: ${Buffer.from(text, 'latin1').toString('base64')}\r\n`;
const ok = 'HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n';

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
