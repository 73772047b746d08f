import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { refusalBody } from '@weir/envoy-config';
import { type EnvoyUnderTest, startEnvoy } from './support/envoy-under-test.ts';
import { makeNetwork, type TestNetwork } from './support/network.ts';
import { type Peer, startPeer } from './support/peer-handle.ts';
import { httpRule, testClass } from './support/rules.ts';

let network: TestNetwork;
let envoy: EnvoyUnderTest;
let client: Peer;
let server: Peer;

const rules = [
  httpRule('landing', { method: 'POST', path: '/v1/request-landing' }),
  httpRule('public', { method: 'GET', path: '/public/.*' }),
];

before(async () => {
  network = makeNetwork('verdict');
  network.redirect(80, 15001);
  [client, server] = await Promise.all([startPeer(network.client), startPeer(network.server)]);
  await server.serveEcho(80);
  envoy = await startEnvoy(network.proxy);
  await envoy.setClasses([testClass('one', 15001, { ingress: rules })]);
});

after(async () => {
  await envoy?.stop();
  await Promise.all([client?.end(), server?.end()]);
  network?.remove();
});

async function ask(request: string): Promise<string> {
  const connection = await client.open(network.serverAddress, 80);
  await connection.send(request);
  const { text } = await connection.receive('(Access denied\r\n|end)$');
  await connection.close();
  return text;
}

test("an allowed request reaches the server with the client's address", async () => {
  const text = await ask(
    'POST /v1/request-landing HTTP/1.1\r\nHost: deathstar\r\nContent-Length: 2\r\n\r\nhi',
  );
  assert.match(text, /^HTTP\/1\.1 200 OK\r\n/);
  assert.match(text, /"from":"10\.77\.1\.2"/);
});

test('a refused request gets exactly the refusal', async () => {
  const text = await ask('PUT /v1/exhaust-port HTTP/1.1\r\nHost: deathstar\r\nContent-Length: 2\r\n\r\nhi');
  assert.match(text, /^HTTP\/1\.1 403 Forbidden\r\n/);
  assert.ok(text.endsWith(`\r\n\r\n${refusalBody}`));
});
