/** The bypass corpus through the real Envoy. */
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { type BypassCase, bypassCases } from './bypass.testdata.ts';
import { type EnvoyUnderTest, startEnvoy } from './support/envoy-under-test.ts';
import { h2Data, h2Headers, h2Outcome, h2Preface } from './support/h2-frames.ts';
import { makeNetwork, type TestNetwork } from './support/network.ts';
import { type Peer, startPeer } from './support/peer-handle.ts';
import { httpRule, testClass } from './support/rules.ts';

let network: TestNetwork;
let envoy: EnvoyUnderTest;
let client: Peer;
let server: Peer;

const port = 80;
const rules = [
  httpRule('public', { method: 'GET|POST', path: '/public/.*' }),
  httpRule('exact', { method: 'GET', path: '/exact' }),
  httpRule('hosted', { method: 'GET', path: '/hosted', host: 'good' }),
  httpRule('keyed', { method: 'GET', path: '/keyed', headers: [{ name: 'X-Key', value: 'k' }] }),
];

before(async () => {
  network = makeNetwork('bypass');
  network.redirect(port, 15001);
  [client, server] = await Promise.all([startPeer(network.client), startPeer(network.server)]);
  await server.serveEcho(port);
  envoy = await startEnvoy(network.proxy);
  await envoy.setClasses([testClass('one', 15001, { ingress: rules })]);
});

after(async () => {
  await envoy?.stop();
  await Promise.all([client?.end(), server?.end()]);
  network?.remove();
});

type Outcome = 'refused' | 'rejected' | 'passes';

for (const each of bypassCases) {
  test(`${each.name}: ${each.expect.kind}`, async () => {
    const outcome = await attempt(each);
    const seen = await server.recorded();
    assert.deepEqual(
      { outcome, seen },
      {
        outcome: each.expect.kind,
        seen: each.expect.kind === 'passes' ? each.expect.server : [],
      },
    );
  });
}

test('the corpus is as large as it should be', () => {
  const attempts = bypassCases.filter(({ expect }) => expect.kind !== 'passes');
  assert.ok(attempts.length >= 80, `${attempts.length} attempts`);
});

async function attempt(each: BypassCase): Promise<Outcome> {
  const connection = await client.open(network.serverAddress, port);
  try {
    if ('http1' in each) {
      await connection.send(each.http1);
      const { text } = await connection.receive('(denied\r\n|end|\r\n\r\n)$|HTTP/1\\.[01] 4(?!03).*\r\n\r\n');
      if (/^HTTP\/1\.[01] 403 .*Access denied\r\n/s.test(text)) return 'refused';
      return /200 OK.*end|^\{.*end/s.test(text) ? 'passes' : 'rejected';
    }
    const headers = h2Headers(each.http2, each.body === undefined);
    await connection.send(h2Preface + headers + (each.body === undefined ? '' : h2Data(each.body)));
    for (let text = ''; ; ) {
      const more = await connection.receive('.');
      text += more.text;
      const { body, ended, reset, goaway } = h2Outcome(text);
      if (body.endsWith('denied\r\n')) return 'refused';
      if (body.endsWith('end')) return 'passes';
      if (ended || reset || goaway || more.ended) return 'rejected';
    }
  } finally {
    await connection.close();
  }
}
