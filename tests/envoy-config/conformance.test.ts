/** The HTTP cases of the conformance data: what the engine hands to a proxy, through the real Envoy. */
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { proxiedProbes } from './support/conformance-cases.ts';
import { type EnvoyUnderTest, startEnvoy } from './support/envoy-under-test.ts';
import { makeNetwork, type TestNetwork } from './support/network.ts';
import { type Peer, startPeer } from './support/peer-handle.ts';
import { testClass } from './support/rules.ts';

let network: TestNetwork;
let envoy: EnvoyUnderTest;
let client: Peer;
let server: Peer;

const probes = proxiedProbes();
/** Probes of equal content share a class, and so a server port. */
const contents = [...new Set(probes.map(({ egress, ingress }) => JSON.stringify([egress, ingress])))];
const classes = contents.map((content, index) => {
  const { egress, ingress } = probes.find((each) => JSON.stringify([each.egress, each.ingress]) === content)!;
  return { ...testClass(`class-${index}`, 15_000 + index, {}), egress, ingress };
});
const portOf = (index: number) => 100 + index;

before(async () => {
  network = makeNetwork('conformance');
  [client, server] = await Promise.all([startPeer(network.client), startPeer(network.server)]);
  for (const [index, { port }] of classes.entries()) {
    network.redirect(portOf(index), port);
    await server.serveEcho(portOf(index));
  }
  envoy = await startEnvoy(network.proxy);
  await envoy.setClasses(classes);
});

after(async () => {
  await envoy?.stop();
  await Promise.all([client?.end(), server?.end()]);
  network?.remove();
});

test('there are cases', () => assert.ok(probes.length > 80, `${probes.length}`));

for (const { title, request, allowed, headers, egress, ingress } of probes) {
  test(`${title}: ${allowed ? 'allowed' : 'denied'}`, async () => {
    const index = contents.indexOf(JSON.stringify([egress, ingress]));
    const connection = await client.open(network.serverAddress, portOf(index));
    const lines = [['Host', request.host], ...request.headers].map(
      ([name, value]) => `${name}: ${value}\r\n`,
    );
    await connection.send(`${request.method} ${request.path} HTTP/1.1\r\n${lines.join('')}\r\n`);
    // The test's server answers methods that Node does not know with a 400 of its own, in chunks.
    const until = request.method === 'HEAD' ? '\r\n\r\n$' : '(denied\r\n|end|\r\n0\r\n\r\n)$';
    const { text } = await connection.receive(until);
    await connection.close();
    assert.equal(/^HTTP\/1\.1 403/.test(text), !allowed, text);
    if (!allowed || headers.size === 0) return;
    const { rawHeaders }: { rawHeaders: readonly string[] } = JSON.parse(
      text.slice(text.indexOf('\r\n\r\n') + 4, -'end'.length),
    );
    const seen = Map.groupBy(
      rawHeaders.flatMap((name, at) =>
        at % 2 === 0 ? [[name.toLowerCase(), rawHeaders[at + 1]] as const] : [],
      ),
      ([name]) => name,
    );
    for (const [name, value] of headers) {
      assert.equal(
        seen
          .get(name)
          ?.map((each) => each[1])
          .join(',') ?? null,
        value,
        name,
      );
    }
  });
}
