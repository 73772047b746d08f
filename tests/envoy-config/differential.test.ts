/**
 * What Envoy does with random requests under random rules equals what the policy engine explains: the verdict, the
 * headers that the server sees, and the rule that the access log names.
 */
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import {
  type AccessLogReceiver,
  createAccessLogReceiver,
  createClassCompiler,
  type RequestRecord,
} from '@weir/envoy-config';
import {
  createPatternMatcher,
  type HeaderMatch,
  type HttpRequest,
  judgeRequest,
  type L7Rule,
  type L7Set,
  type RequestVerdict,
  rewriteHeaders,
} from '@weir/l7-policy';
import fc from 'fast-check';
import { pieces } from './rule-cases.testdata.ts';
import { type EnvoyUnderTest, startEnvoy, type TestClass, until } from './support/envoy-under-test.ts';
import { makeNetwork, type TestNetwork } from './support/network.ts';
import { type Peer, startPeer } from './support/peer-handle.ts';
import { grpcRule, httpRule, slot, testClass } from './support/rules.ts';

const rounds = 12;
const requestsPerRound = 120;

const patterns = createPatternMatcher();
let network: TestNetwork;
let envoy: EnvoyUnderTest;
let client: Peer;
let server: Peer;
let receiver: AccessLogReceiver;
const records: RequestRecord[] = [];

before(async () => {
  network = makeNetwork('differential');
  network.redirect(80, 15001);
  network.redirect(81, 15002);
  [client, server] = await Promise.all([startPeer(network.client), startPeer(network.server)]);
  await Promise.all([server.serveEcho(80), server.serveEcho(81)]);
  envoy = await startEnvoy(network.proxy);
  receiver = await createAccessLogReceiver({
    socketPath: envoy.accessLogSocketPath,
    onRecords: (batch) => records.push(...batch),
    onKafkaReports: () => undefined,
    onProblem: (message) => assert.fail(message),
  });
  await envoy.setClasses([
    testClass('one', 15001, { ingress: [] }),
    testClass('pair', 15002, { egress: [], ingress: [] }),
  ]);
});

after(async () => {
  await envoy?.stop();
  await receiver?.close();
  await Promise.all([client?.end(), server?.end()]);
  network?.remove();
});

interface Request {
  readonly method: string;
  readonly path: string;
  readonly host: string;
  readonly headers: readonly (readonly [string, string])[];
}

const maybe = <Value>(values: readonly Value[]): fc.Arbitrary<Value | null> =>
  fc.option(fc.constantFrom(...values), { nil: null });

const requirement = fc.record({
  name: fc.constantFrom(...pieces.headers),
  value: maybe(pieces.headerValues),
});

const parts = fc.record({
  method: maybe(pieces.methodPatterns),
  path: fc.oneof(
    { weight: 4, arbitrary: fc.constantFrom(...pieces.pathPatterns) },
    { weight: 1, arbitrary: fc.constant(null) },
  ),
  host: fc.oneof(
    { weight: 1, arbitrary: fc.constantFrom(...pieces.hostPatterns) },
    { weight: 3, arbitrary: fc.constant(null) },
  ),
  headers: fc.oneof(
    { weight: 3, arbitrary: fc.constant([]) },
    { weight: 1, arbitrary: fc.array(requirement, { maxLength: 2 }) },
  ),
});

/** Few rules with actions can meet in one request, and a proxy takes only so many of them. */
const actions: fc.Arbitrary<readonly HeaderMatch[]> = fc.array(
  fc.record({
    name: fc.constantFrom('X-Team', 'x-new'),
    value: fc.constantFrom(...pieces.headerValues, '100%'),
    secret: fc.constant(false),
    mismatch: fc.constantFrom('FAIL', 'LOG', 'ADD', 'ADD', 'DELETE', 'REPLACE', 'REPLACE'),
  }),
  { minLength: 1, maxLength: 3 },
);
const actingRules = fc
  .array(fc.tuple(parts, actions), { minLength: 1, maxLength: 3 })
  .map((some) =>
    some.map(([each, headerMatches], index) => httpRule(`acting${index}`, { ...each, headerMatches })),
  );

const grpcParts = fc.record({ service: maybe(pieces.services), call: maybe(pieces.calls) });

const family = fc.oneof(
  { weight: 2, arbitrary: fc.constant([]) },
  { weight: 1, arbitrary: fc.subarray([...pieces.family], { minLength: 5 }) },
);

const ruleSet = fc
  .tuple(fc.array(parts, { minLength: 1, maxLength: 10 }), fc.array(grpcParts, { maxLength: 3 }), family)
  .map(([http, grpc, paths]): readonly L7Rule[] => [
    ...http.map((each, index) => httpRule(`http${index}`, each)),
    ...grpc.map(({ service, call }, index) => grpcRule(`grpc${index}`, service, call)),
    ...paths.map((path, index) => httpRule(`family${index}`, { path })),
  ]);

const plain: fc.Arbitrary<Request> = fc.record({
  method: fc.constantFrom(...pieces.methods),
  path: fc.constantFrom(...pieces.paths),
  host: fc.constantFrom(...pieces.hosts),
  headers: fc.array(fc.tuple(fc.constantFrom(...pieces.headers), fc.constantFrom(...pieces.headerValues)), {
    maxLength: 2,
  }),
});

const call: fc.Arbitrary<Request> = fc.record({
  method: fc.constantFrom('POST', 'POST', 'GET'),
  path: fc.constantFrom(...pieces.callPaths),
  host: fc.constantFrom(...pieces.hosts),
  headers: fc.constantFrom(...pieces.contentTypes.map((type) => [['content-type', type]] as const), []),
});

const request = fc.oneof({ weight: 5, arbitrary: plain }, { weight: 1, arbitrary: call });
const requests = fc.array(request, { minLength: requestsPerRound, maxLength: requestsPerRound });

/** What `weir policy explain` would say of one side. */
function judge(rules: readonly L7Rule[], { method, path, host, headers }: Request): RequestVerdict {
  const set: L7Set = { id: 'set' as L7Set['id'], direction: 'ingress', kind: 'http', slots: [] };
  const asked: HttpRequest = { kind: 'http', method, path, host, headers };
  return judgeRequest(set, [slot('ingress', rules)], asked, patterns);
}

function onTheWire({ method, path, host, headers }: Request): string {
  const lines = [['Host', host], ['X-Reply', 'short'], ...headers].map(
    ([name, value]) => `${name}: ${value}\r\n`,
  );
  return `${method} ${path} HTTP/1.1\r\n${lines.join('')}\r\n`;
}

/** The values of the watched headers that the server got, joined. */
function seen(body: string): Readonly<Record<string, string>> {
  const { rawHeaders }: { rawHeaders: readonly string[] } = JSON.parse(body.slice(0, -'end'.length));
  return joined(
    rawHeaders.flatMap((name, at) => (at % 2 === 0 ? [[name, rawHeaders[at + 1] ?? ''] as const] : [])),
  );
}

function joined(headers: readonly (readonly [string, string])[]): Readonly<Record<string, string>> {
  const values: Record<string, string> = {};
  for (const [name, value] of headers) {
    const key = name.toLowerCase();
    if (!watched.has(key)) continue;
    values[key] = values[key] === undefined ? value : `${values[key]},${value}`;
  }
  return values;
}

const watched = new Set(['x-team', 'x-env', 'x-new']);
const compiler = createClassCompiler(() => '');

/** Puts the rules in force, asks, and compares everything that can be seen. */
async function compare(
  changed: TestClass,
  port: number,
  sides: { readonly egress?: readonly L7Rule[]; readonly ingress: readonly L7Rule[] },
  asked: readonly Request[],
): Promise<void> {
  await envoy.setRoutes(changed);
  compiler.compileRoutes(changed);
  records.length = 0;
  const replies = await client.exchange(network.serverAddress, port, asked.map(onTheWire));
  await until(() => records.length === asked.length, 'all requests are in the access log');
  for (const [index, each] of asked.entries()) {
    const reply = replies[index];
    const what = JSON.stringify({ asked: each, sides });
    const egress = sides.egress === undefined ? null : judge(sides.egress, each);
    const ingress = judge(sides.ingress, each);
    const allowed = egress?.allowed !== false && ingress.allowed;
    assert.equal(reply?.status, allowed ? 200 : 403, what);
    const { verdict, path } = records[index]!;
    if (!allowed) {
      const reason = egress?.allowed === false ? 'egress-rules' : 'ingress-rules';
      assert.deepEqual(verdict, { kind: 'denied', reason }, what);
      continue;
    }
    if (each.method !== 'HEAD') {
      const matches = [...(egress?.headerMatches ?? []), ...ingress.headerMatches];
      assert.deepEqual(seen(reply?.body ?? ''), joined(rewriteHeaders(matches, each.headers)), what);
    }
    assert.ok(verdict.kind === 'allowed', what);
    for (const [named, rules] of [
      [verdict.egressRule, sides.egress],
      [verdict.ingressRule, sides.ingress],
    ] as const) {
      if (rules === undefined) continue;
      const rule = rules.find(({ id }) => named !== null && id === compiler.ruleOf(named, path));
      assert.ok(rule !== undefined && judge([rule], each).allowed, `${named} decided about ${what}`);
    }
  }
}

test('one side', async () => {
  for (const [ingress, asked] of fc.sample(fc.tuple(ruleSet, requests), rounds)) {
    await compare(testClass('one', 15001, { ingress }), 80, { ingress }, asked);
  }
});

test('both sides', async () => {
  for (const [egress, ingress, asked] of fc.sample(fc.tuple(ruleSet, ruleSet, requests), rounds)) {
    await compare(testClass('pair', 15002, { egress, ingress }), 81, { egress, ingress }, asked);
  }
});

test('rules that act on headers', async () => {
  const some = fc.tuple(actingRules, ruleSet, requests);
  for (const [acting, plain, asked] of fc.sample(some, rounds)) {
    const ingress = [...plain, ...acting];
    await compare(testClass('one', 15001, { ingress }), 80, { ingress }, asked);
  }
});

test('rules on both sides that act on headers', async () => {
  const some = fc.tuple(actingRules, ruleSet, actingRules, requests);
  for (const [egressActing, plain, ingress, asked] of fc.sample(some, rounds)) {
    const egress = [...egressActing, ...plain];
    await compare(testClass('pair', 15002, { egress, ingress }), 81, { egress, ingress }, asked);
  }
});
