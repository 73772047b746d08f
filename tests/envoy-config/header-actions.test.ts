/** headerMatches through the real Envoy: what the server gets. */
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { type AccessLogReceiver, createAccessLogReceiver, type RequestRecord } from '@weir/envoy-config';
import { headerCases, watched } from './header-actions.testdata.ts';
import { type EnvoyUnderTest, startEnvoy, until } from './support/envoy-under-test.ts';
import { makeNetwork, type TestNetwork } from './support/network.ts';
import { type Peer, startPeer } from './support/peer-handle.ts';
import { testClass } from './support/rules.ts';

let network: TestNetwork;
let envoy: EnvoyUnderTest;
let client: Peer;
let server: Peer;
let receiver: AccessLogReceiver;
const records: RequestRecord[] = [];

/** Each case has a class, and so a server port, of its own. */
const portOf = (index: number) => 100 + index;
const classes = headerCases.map(({ rules, ingress }, index) =>
  testClass(
    `case-${index}`,
    15_000 + index,
    ingress === undefined ? { ingress: rules } : { egress: rules, ingress },
  ),
);

before(async () => {
  network = makeNetwork('headers');
  [client, server] = await Promise.all([startPeer(network.client), startPeer(network.server)]);
  for (const [index, { port }] of classes.entries()) {
    network.redirect(portOf(index), port);
    await server.serveEcho(portOf(index));
  }
  envoy = await startEnvoy(network.proxy);
  receiver = await createAccessLogReceiver({
    socketPath: envoy.accessLogSocketPath,
    onRecords: (batch) => records.push(...batch),
    onKafkaReports: () => undefined,
    onProblem: (message) => assert.fail(message),
  });
  await envoy.setClasses(classes);
});

after(async () => {
  await envoy?.stop();
  await receiver?.close();
  await Promise.all([client?.end(), server?.end()]);
  network?.remove();
});

for (const [index, { name, request, server: expected, mismatches, logged }] of headerCases.entries()) {
  test(name, async () => {
    const connection = await client.open(network.serverAddress, portOf(index));
    const lines = request.headers.map(([header, value]) => `${header}: ${value}\r\n`).join('');
    await connection.send(`GET ${request.path} HTTP/1.1\r\nHost: s\r\n${lines}\r\n`);
    const { text } = await connection.receive('(denied\r\n|end)$');
    await connection.close();
    assert.equal(/^HTTP\/1\.1 (\d+)/.exec(text)?.[1], expected === null ? '403' : '200');
    if (expected !== null) assert.deepEqual(serverHeaders(text), expected);
    if (mismatches === undefined && logged === undefined) return;
    const own = () => records.find(({ classId }) => classId === `case-${index}`);
    await until(() => own() !== undefined, 'the request is in the access log');
    if (mismatches !== undefined) assert.deepEqual(own()?.mismatches, mismatches);
    if (logged !== undefined) assert.deepEqual(own()?.headers, logged);
  });
}

/** The watched headers that the server echoed, several values joined. */
function serverHeaders(text: string): Record<string, string> {
  const body = text.slice(text.indexOf('\r\n\r\n') + 4, -'end'.length);
  const { rawHeaders }: { rawHeaders: readonly string[] } = JSON.parse(body);
  const found: Record<string, string> = {};
  for (let at = 0; at < rawHeaders.length; at += 2) {
    const name = rawHeaders[at]!.toLowerCase();
    const value = rawHeaders[at + 1]!;
    if (watched.includes(name)) found[name] = found[name] === undefined ? value : `${found[name]},${value}`;
  }
  return found;
}
