import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import {
  type AccessLogReceiver,
  accessLogCounts,
  createAccessLogReceiver,
  createClassCompiler,
  type RequestRecord,
  refusalBody,
} from '@weir/envoy-config';
import { type EnvoyUnderTest, startEnvoy, until } from './support/envoy-under-test.ts';
import { inside, makeNetwork, type TestNetwork } from './support/network.ts';
import { type Peer, startPeer } from './support/peer-handle.ts';
import { grpcRule, httpRule, testClass } from './support/rules.ts';

let network: TestNetwork;
let envoy: EnvoyUnderTest;
let client: Peer;
let server: Peer;
let proxied: Peer;
let receiver: AccessLogReceiver;
const records: RequestRecord[] = [];
const problems: string[] = [];

/** Server ports, each with a class of its own. */
const port = { one: 80, pair: 81, grpc: 82, many: 83 };
const rules = [
  httpRule('landing', { method: 'POST', path: '/v1/request-landing' }),
  httpRule('public', { method: 'GET', path: '/public/.*' }),
  httpRule('socket', { path: '/ws' }),
];
const one = testClass('one', 15001, { ingress: rules });
/** More regexes behind one prefix than are tried one by one. */
const versions = (side: string) =>
  Array.from({ length: 6 }, (_, index) => httpRule(`${side}-${index}`, { path: `/v/[0-9]+/part${index}` }));
const many = testClass('many', 15004, { egress: versions('out'), ingress: versions('in') });

before(async () => {
  network = makeNetwork('verdict');
  network.redirect(port.one, 15001);
  network.redirect(port.pair, 15002);
  network.redirect(port.grpc, 15003);
  network.redirect(port.many, 15004);
  [client, server, proxied] = await Promise.all([
    startPeer(network.client),
    startPeer(network.server),
    startPeer(network.proxy),
  ]);
  await Promise.all(Object.values(port).map((each) => server.serveEcho(each)));
  envoy = await startEnvoy(network.proxy);
  receiver = await createAccessLogReceiver({
    socketPath: envoy.accessLogSocketPath,
    onRecords: (batch) => records.push(...batch),
    onKafkaReports: () => undefined,
    onProblem: (message) => problems.push(message),
  });
  await envoy.setClasses([
    one,
    many,
    testClass('pair', 15002, {
      egress: [httpRule('out-get', { method: 'GET' }), httpRule('out-put', { method: 'PUT', path: '/put' })],
      ingress: [httpRule('in-pub', { path: '/pub.*' }), httpRule('in-put', { path: '/put', host: 'good' })],
    }),
    testClass('grpc', 15003, { egress: [grpcRule('say', 'pkg\\.Greeter', 'Say.*')] }),
  ]);
});

after(async () => {
  await envoy?.stop();
  await receiver?.close();
  await Promise.all([client?.end(), server?.end(), proxied?.end()]);
  network?.remove();
});

async function ask(to: number, request: string): Promise<string> {
  const connection = await client.open(network.serverAddress, to);
  await connection.send(request);
  const { text } = await connection.receive('(Access denied\r\n|end)$');
  await connection.close();
  return text;
}

async function status(to: number, request: string): Promise<number> {
  return Number(/^HTTP\/1\.[01] (\d+)/.exec(await ask(to, request))?.[1]);
}

async function recordOf(holds: (record: RequestRecord) => boolean): Promise<RequestRecord> {
  await until(() => records.some(holds), 'the request is in the access log');
  return records.find(holds)!;
}

test("an allowed request reaches the server with the client's address", async () => {
  const text = await ask(
    port.one,
    'POST /v1/request-landing HTTP/1.1\r\nHost: deathstar\r\nContent-Length: 2\r\n\r\nhi',
  );
  assert.match(text, /^HTTP\/1\.1 200 OK\r\n/);
  assert.ok(text.includes(`"from":"${network.clientAddress}"`));
  const record = await recordOf((each) => each.path === '/v1/request-landing');
  assert.deepEqual(
    {
      ...record,
      startedAtMs: 0,
      durationMs: 0,
      source: record.source.address,
      requestBytes: 0,
      responseBytes: 0,
    },
    {
      kind: 'request',
      classId: 'one',
      source: network.clientAddress,
      destination: { address: network.serverAddress, port: port.one },
      startedAtMs: 0,
      durationMs: 0,
      protocol: 'HTTP/1.1',
      method: 'POST',
      path: '/v1/request-landing',
      host: 'deathstar',
      status: 200,
      verdict: { kind: 'allowed', egressRule: null, ingressRule: 'landing' },
      mismatches: [],
      headers: {},
      details: 'via_upstream',
      flags: [],
      requestBytes: 0,
      responseBytes: 0,
    },
  );
});

test('a refused request gets exactly the refusal, and the connection stays usable', async () => {
  const connection = await client.open(network.serverAddress, port.one);
  await connection.send('PUT /v1/exhaust-port HTTP/1.1\r\nHost: deathstar\r\n\r\n');
  const refused = await connection.receive('denied\r\n$');
  assert.match(
    refused.text,
    /^HTTP\/1\.1 403 Forbidden\r\ncontent-length: 15\r\ncontent-type: text\/plain\r\ndate: [^\r]+\r\n\r\nAccess denied\r\n$/,
  );
  assert.ok(refused.text.endsWith(refusalBody));
  await connection.send('GET /public/a HTTP/1.1\r\nHost: deathstar\r\n\r\n');
  assert.match((await connection.receive('end$')).text, /^HTTP\/1\.1 200 OK/);
  await connection.close();
  const record = await recordOf((each) => each.path === '/v1/exhaust-port');
  assert.deepEqual(record.verdict, { kind: 'denied', reason: 'ingress-rules' });
  assert.equal(record.status, 403);
});

test('two refusals wait for a client that pipelines; a third request at once ends the connection', async () => {
  const refused = 'PUT /x HTTP/1.1\r\nHost: s\r\n\r\n';
  const connection = await client.open(network.serverAddress, port.one);
  await connection.send(refused.repeat(2));
  const two = await connection.receive('(denied\r\n.*){2}$');
  assert.deepEqual([two.text.match(/403 Forbidden/g)?.length, two.ended], [2, false]);
  await connection.send(refused.repeat(3));
  const three = await connection.receive('never');
  assert.deepEqual([three.text.match(/403 Forbidden/g)?.length, three.ended], [2, true]);
  await connection.close();
});

test('over HTTP/1 the refusal of a request with a body ends the connection, and says so', async () => {
  const text = await ask(port.one, 'PUT /x HTTP/1.1\r\nHost: s\r\nContent-Length: 2\r\n\r\nhi');
  assert.match(text, /^HTTP\/1\.1 403 Forbidden\r\n.*\r\nconnection: close\r\n\r\nAccess denied\r\n$/s);
});

test('a 403 of the server passes as it is', async () => {
  const text = await ask(port.one, 'GET /public/a HTTP/1.1\r\nHost: s\r\nX-Answer-Status: 403\r\n\r\n');
  assert.match(text, /^HTTP\/1\.1 403 Forbidden\r\n.*\{"method":"GET".*end$/s);
});

test('HTTP/1.0 is served, and refused in the same words', async () => {
  assert.match(await ask(port.one, 'GET /public/a HTTP/1.0\r\nHost: s\r\n\r\n'), /^HTTP\/1\.0 200 OK/);
  assert.match(
    await ask(port.one, 'GET /x HTTP/1.0\r\nHost: s\r\n\r\n'),
    /^HTTP\/1\.0 403 .*Access denied\r\n$/s,
  );
});

test('HTTP/2 with prior knowledge is judged and carried as HTTP/2', async () => {
  const host = network.serverAddress;
  const allowed = await client.call(host, port.one, { ':path': '/public/two' });
  assert.equal(allowed.headers[':status'], 200);
  assert.match(allowed.body, /":path":"\/public\/two"/);
  const refused = await client.call(host, port.one, { ':path': '/private' });
  assert.equal(refused.headers[':status'], 403);
  assert.equal(refused.body, refusalBody);
});

test('a gRPC call is refused with trailers only and status 7', async () => {
  const grpc = { ':method': 'POST', 'content-type': 'application/grpc', te: 'trailers' };
  const host = network.serverAddress;
  const allowed = await client.call(host, port.grpc, { ...grpc, ':path': '/pkg.Greeter/SayHello' }, 'x');
  assert.equal(allowed.trailers['grpc-status'], '0');
  const refused = await client.call(host, port.grpc, { ...grpc, ':path': '/pkg.Greeter/Shout' }, 'x');
  assert.equal(refused.headers[':status'], 200);
  assert.equal(refused.headers['grpc-status'], '7');
  assert.equal(refused.body, '');
});

test('only what Envoy answers as gRPC gets the words of gRPC', async () => {
  for (const type of ['application/grpc-web', 'application/json']) {
    const text = await ask(port.one, `PUT /x HTTP/1.1\r\nHost: s\r\nContent-Type: ${type}\r\n\r\n`);
    assert.match(text, /^HTTP\/1\.1 403 .*\r\n\r\nAccess denied\r\n$/s);
  }
  // The routes refuse the first, the verdict filter the second.
  const grpc = { ':method': 'PUT', 'content-type': 'application/grpc+proto', te: 'trailers' };
  for (const [to, path] of [
    [port.one, '/x'],
    [port.pair, '/put'],
  ] as const) {
    const { headers } = await client.call(network.serverAddress, to, { ...grpc, ':path': path });
    assert.deepEqual([headers['grpc-status'], headers['grpc-message']], ['7', 'Access denied']);
  }
});

test('both sides of a pair must agree, and each request names what decided', async () => {
  const host = 'Host: good\r\n\r\n';
  assert.equal(await status(port.pair, `GET /public HTTP/1.1\r\n${host}`), 200);
  assert.equal(await status(port.pair, `POST /public2 HTTP/1.1\r\n${host}`), 403);
  assert.equal(await status(port.pair, `GET /private HTTP/1.1\r\n${host}`), 403);
  assert.equal(await status(port.pair, `PUT /put HTTP/1.1\r\n${host}`), 200);
  assert.equal(await status(port.pair, 'PUT /put HTTP/1.1\r\nHost: bad\r\n\r\n'), 403);
  assert.equal(await status(port.pair, 'PUT /put HTTP/1.1\r\nHost: good:8080\r\n\r\n'), 200);
  const verdicts = async (path: string) =>
    (await recordOf((each) => each.classId === 'pair' && each.path === path)).verdict;
  assert.deepEqual(await verdicts('/public'), {
    kind: 'allowed',
    egressRule: 'out-get',
    ingressRule: 'in-pub',
  });
  assert.deepEqual(await verdicts('/public2'), { kind: 'denied', reason: 'egress-rules' });
  assert.deepEqual(await verdicts('/private'), { kind: 'denied', reason: 'ingress-rules' });
});

test('the rule behind a combined regex is found from the logged path', async () => {
  assert.equal(await status(port.many, 'GET /v/7/part4 HTTP/1.1\r\nHost: s\r\n\r\n'), 200);
  assert.equal(await status(port.many, 'GET /v/7/part6 HTTP/1.1\r\nHost: s\r\n\r\n'), 403);
  const { verdict, path } = await recordOf((each) => each.path === '/v/7/part4');
  assert.ok(verdict.kind === 'allowed' && verdict.egressRule !== null && verdict.ingressRule !== null);
  const compiler = createClassCompiler(() => '');
  compiler.compileRoutes(many);
  assert.equal(compiler.ruleOf(verdict.egressRule, path), 'out-4');
  assert.equal(compiler.ruleOf(verdict.ingressRule, path), 'in-4');
  assert.equal(createClassCompiler(() => '').ruleOf(verdict.egressRule, path), null);
});

test('the refusal of the second side has the same bytes', async () => {
  const [first, second] = [
    await ask(port.pair, 'POST /public HTTP/1.1\r\nHost: s\r\n\r\n'),
    await ask(port.pair, 'GET /private HTTP/1.1\r\nHost: s\r\n\r\n'),
  ].map((text) => text.replace(/date: [^\r]+/, 'date'));
  assert.equal(first, second);
});

test('a WebSocket passes where the rules allow it, other tunnels are refused', async () => {
  const upgrade = (path: string, to: string) =>
    `GET ${path} HTTP/1.1\r\nHost: s\r\nConnection: Upgrade\r\nUpgrade: ${to}\r\n\r\n`;
  const connection = await client.open(network.serverAddress, port.one);
  await connection.send(upgrade('/ws', 'websocket'));
  assert.match((await connection.receive('\r\n\r\n$')).text, /^HTTP\/1\.1 101 /);
  await connection.send('ping');
  assert.equal((await connection.receive('ping')).text, 'ping');
  await connection.close();
  assert.equal(await status(port.one, upgrade('/private', 'websocket')), 403);
  assert.match(await ask(port.one, upgrade('/public/x', 'other')), /^HTTP\/1\.1 403 .*Access denied\r\n$/s);
  assert.match(
    await ask(port.one, 'CONNECT s:443 HTTP/1.1\r\nHost: s:443\r\n\r\n'),
    /^HTTP\/1\.1 403 .*Access denied\r\n$/s,
  );
});

test('an edit by RDS reaches the next request of a connection that is open', async () => {
  const connection = await client.open(network.serverAddress, port.one);
  const request = 'GET /edited HTTP/1.1\r\nHost: s\r\n\r\n';
  await connection.send(request);
  assert.match((await connection.receive('denied\r\n$')).text, /^HTTP\/1\.1 403/);
  await envoy.setRoutes(
    testClass('one', 15001, { ingress: [...rules, httpRule('new', { path: '/edited' })] }),
  );
  await connection.send(request);
  assert.match((await connection.receive('end$')).text, /^HTTP\/1\.1 200/);
  await envoy.setRoutes(one);
  await connection.send(request);
  assert.match((await connection.receive('denied\r\n$')).text, /^HTTP\/1\.1 403/);
  await connection.close();
});

test('a connection straight to a proxy port is closed', async () => {
  const connection = await proxied.open('127.0.0.1', 15001);
  await connection.send('GET /public/a HTTP/1.1\r\nHost: s\r\n\r\n').catch(() => undefined);
  const { text, ended } = await connection.receive('never');
  assert.deepEqual({ text, ended }, { text: '', ended: true });
});

test('listening and upstream sockets carry the proxy mark', async () => {
  const connection = await client.open(network.serverAddress, port.one);
  await connection.send('GET /public/a HTTP/1.1\r\nHost: s\r\n\r\n');
  await connection.receive('end$');
  const sockets = inside(network.proxy, 'ss', '-Htane');
  await connection.close();
  const marked = (pattern: RegExp) =>
    sockets
      .split('\n')
      .filter((line) => pattern.test(line))
      .map((line) => /fwmark:(0x[0-9a-f]+)/.exec(line)?.[1]);
  const listening = marked(/^LISTEN .*127\.0\.0\.1:15001 /);
  const upstream = marked(/^ESTAB .*10\.77\.1\.2:\d+ +10\.77\.2\.2:80 /);
  assert.deepEqual(new Set(listening), new Set(['0x100']));
  assert.deepEqual(new Set(upstream), new Set(['0x100']));
  assert.ok(upstream.length > 0);
});

test('records that Envoy wrote are received, and none was lost', async () => {
  await until(
    async () => (await accessLogCounts(envoy.adminSocketPath)).written === receiver.received,
    'all came',
  );
  assert.equal((await accessLogCounts(envoy.adminSocketPath)).dropped, 0);
  assert.deepEqual(problems, []);
});

test('without a receiver requests are served as ever, and a new receiver gets records again', async () => {
  await receiver.close();
  for (let index = 0; index < 20; index += 1) {
    assert.equal(await status(port.one, 'GET /public/alone HTTP/1.1\r\nHost: s\r\n\r\n'), 200);
  }
  receiver = await createAccessLogReceiver({
    socketPath: envoy.accessLogSocketPath,
    onRecords: (batch) => records.push(...batch),
    onKafkaReports: () => undefined,
    onProblem: (message) => problems.push(message),
  });
  await until(
    async () => {
      await status(port.one, 'GET /public/together HTTP/1.1\r\nHost: s\r\n\r\n');
      return records.some(({ path }) => path === '/public/together');
    },
    'records come again',
    15_000,
  );
});
