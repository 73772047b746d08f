/** The same bytes directly and through the proxy: both ends see the same, or the listed difference. */
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { type EnvoyUnderTest, startEnvoy } from './support/envoy-under-test.ts';
import { makeNetwork, type TestNetwork } from './support/network.ts';
import { type Peer, startPeer } from './support/peer-handle.ts';
import { httpRule, testClass } from './support/rules.ts';
import { type Replacement, type TransparencyCase, transparencyCases } from './transparency.testdata.ts';

let network: TestNetwork;
let envoy: EnvoyUnderTest;
let client: Peer;
let server: Peer;

const proxied = 80;
const direct = 90;

before(async () => {
  network = makeNetwork('transparency');
  network.redirect(proxied, 15001);
  [client, server] = await Promise.all([startPeer(network.client), startPeer(network.server)]);
  await Promise.all([server.serveScript(proxied), server.serveScript(direct)]);
  envoy = await startEnvoy(network.proxy);
  await envoy.setClasses([testClass('one', 15001, { ingress: [httpRule('all', { path: '.*' })] })]);
});

after(async () => {
  await envoy?.stop();
  await Promise.all([client?.end(), server?.end()]);
  network?.remove();
});

interface Exchange {
  readonly server: string;
  readonly client: string;
}

/** Plays a case against a port. The headers that carry the answer are left out of what the server saw. */
async function play(
  { request, answer, halfClose, serverCloses }: TransparencyCase,
  port: number,
): Promise<Exchange> {
  const script = [
    `X-Answer: ${Buffer.from(answer, 'latin1').toString('base64')}\r\n`,
    ...(serverCloses === true ? ['X-Answer-Close: 1\r\n'] : []),
  ];
  const heads = / HTTP\/1\.[01]\r\n/g;
  const answers = request.match(heads)?.length ?? 0;
  const connection = await client.open(network.serverAddress, port);
  await connection.send(
    request.replaceAll(heads, (line) => line + script.join('')),
    halfClose === true,
  );
  const { text } = await connection.receive(
    `^(?:(?:${final}|HTTP/1\\.[01] 1\\d\\d .*?\\r\\n\\r\\n)){${answers},}$`,
  );
  await connection.close();
  const seen = (await server.recorded()).join('');
  return {
    server: script.reduce((left, line) => left.replaceAll(line, ''), seen),
    client: text.replaceAll(/date: [^\r]+/g, 'date: *'),
  };
}

/** A response that is whole: a body of two or no bytes, or one in chunks. */
const final =
  'HTTP/1\\.[01] [2-5]\\d\\d (?:(?!HTTP/1).)*?\\r\\n\\r\\n(?:ok|no|2\\r\\nok\\r\\n0\\r\\n(?:[Xx]-[^\\r]*\\r\\n)?\\r\\n)?';

for (const each of transparencyCases) {
  const { differs } = each;
  test(differs === undefined ? each.name : `${each.name}: ${differs.reason}`, async () => {
    const straight = await play(each, direct);
    const through = await play(each, proxied);
    if (differs?.races === true) {
      for (const end of ['server', 'client'] as const) assert.ok(['', straight[end]].includes(through[end]));
      return;
    }
    assert.equal(through.client, replaced(straight.client, differs?.client));
    assert.equal(through.server, replaced(straight.server, differs?.server));
  });
}

function replaced(text: string, replacements: readonly Replacement[] = []): string {
  return replacements.reduce((left, [from, to]) => {
    assert.ok(left.includes(from), `a listed difference is none: ${from}`);
    return left.replace(from, () => to);
  }, text);
}
