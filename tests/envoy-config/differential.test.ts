/** Envoy's verdict on random requests under random rules equals what the policy engine explains. */
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import {
  createPatternMatcher,
  type HttpRequest,
  judgeRequest,
  type L7Rule,
  type L7Set,
} from '@weir/l7-policy';
import fc from 'fast-check';
import { pieces } from './rule-cases.testdata.ts';
import { type EnvoyUnderTest, startEnvoy } from './support/envoy-under-test.ts';
import { makeNetwork, type TestNetwork } from './support/network.ts';
import { type Peer, startPeer } from './support/peer-handle.ts';
import { grpcRule, httpRule, slot, testClass } from './support/rules.ts';

const rounds = 24;
const requestsPerRound = 120;

const patterns = createPatternMatcher();
let network: TestNetwork;
let envoy: EnvoyUnderTest;
let client: Peer;
let server: Peer;

before(async () => {
  network = makeNetwork('differential');
  network.redirect(80, 15001);
  network.redirect(81, 15002);
  [client, server] = await Promise.all([startPeer(network.client), startPeer(network.server)]);
  await Promise.all([server.serveEcho(80), server.serveEcho(81)]);
  envoy = await startEnvoy(network.proxy);
  await envoy.setClasses([
    testClass('one', 15001, { ingress: [] }),
    testClass('pair', 15002, { egress: [], ingress: [] }),
  ]);
});

after(async () => {
  await envoy?.stop();
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

const grpcParts = fc.record({ service: maybe(pieces.services), call: maybe(pieces.calls) });

const ruleSet = fc
  .tuple(fc.array(parts, { minLength: 1, maxLength: 14 }), fc.array(grpcParts, { maxLength: 3 }))
  .map(([http, grpc]): readonly L7Rule[] => [
    ...http.map((each, index) => httpRule(`http${index}`, each)),
    ...grpc.map(({ service, call }, index) => grpcRule(`grpc${index}`, service, call)),
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

/** What `weir policy explain` would say. */
function allows(rules: readonly L7Rule[], { method, path, host, headers }: Request): boolean {
  const set: L7Set = { id: 'set' as L7Set['id'], direction: 'ingress', kind: 'http', slots: [] };
  const asked: HttpRequest = { kind: 'http', method, path, host, headers };
  return judgeRequest(set, [slot('ingress', rules)], asked, patterns).allowed;
}

function onTheWire({ method, path, host, headers }: Request): string {
  const lines = [['Host', host], ['X-Reply', 'short'], ...headers].map(
    ([name, value]) => `${name}: ${value}\r\n`,
  );
  return `${method} ${path} HTTP/1.1\r\n${lines.join('')}\r\n`;
}

function describe(rules: readonly L7Rule[], asked: Request): string {
  return JSON.stringify({ asked, rules });
}

test('one side', async () => {
  for (const [rules, asked] of fc.sample(fc.tuple(ruleSet, requests), rounds)) {
    await envoy.setRoutes(testClass('one', 15001, { ingress: rules }));
    const statuses = await client.statuses(network.serverAddress, 80, asked.map(onTheWire));
    for (const [index, each] of asked.entries()) {
      const expected = allows(rules, each) ? 200 : 403;
      assert.equal(statuses[index], expected, describe(rules, each));
    }
  }
});

test('both sides', async () => {
  for (const [egress, ingress, asked] of fc.sample(fc.tuple(ruleSet, ruleSet, requests), rounds)) {
    await envoy.setRoutes(testClass('pair', 15002, { egress, ingress }));
    const statuses = await client.statuses(network.serverAddress, 81, asked.map(onTheWire));
    for (const [index, each] of asked.entries()) {
      const both = [egress, ingress].every((rules) => allows(rules, each));
      assert.equal(statuses[index], both ? 200 : 403, describe([...egress, ...ingress], each));
    }
  }
});
