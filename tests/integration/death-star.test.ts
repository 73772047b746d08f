import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { after, before, describe, it } from 'node:test';
import {
  DEATHSTAR,
  exampleText,
  type Outcome,
  type ShipRequest,
  type Stage,
  setStage,
  stageNames,
} from '@weir/agent';
import { runName } from '../run-name.ts';
import { assertNothingLeft } from './leaks.ts';
import { waitUntil } from './wait-until.ts';

const names = stageNames(runName('story'));
const LAND = { address: DEATHSTAR, port: 80, method: 'POST', path: '/v1/request-landing' };
const EXHAUST = { address: DEATHSTAR, port: 80, method: 'PUT', path: '/v1/exhaust-port' };
const HANGAR = { address: DEATHSTAR, port: 8080, method: 'GET', path: '/v1/hangar' };
const YAVIN = { address: '10.77.0.3', port: 80, method: 'GET', path: '/v1/rebels' };
const DROPPED: Outcome = { kind: 'failure', code: 'TIMEOUT' };

describe('the story of the Death Star, told by real parts', () => {
  let stage: Stage;
  const rulesBefore = execFileSync('ip', ['rule'], { encoding: 'utf8' });

  before(async () => {
    stage = await setStage(names);
  });
  after(async () => {
    await stage?.strike();
    assertNothingLeft(names);
    assert.equal(execFileSync('ip', ['rule'], { encoding: 'utf8' }), rulesBefore);
  });

  async function send(ship: keyof Stage['ships'], request: ShipRequest): Promise<Outcome> {
    return stage.ships[ship].send(request);
  }

  async function lands(
    ship: keyof Stage['ships'],
    request: ShipRequest,
    from: string,
  ): Promise<Record<string, unknown>> {
    const outcome = await send(ship, request);
    assert.equal(outcome.kind, 'answer', JSON.stringify(outcome));
    if (outcome.kind !== 'answer') return {};
    assert.equal(outcome.status, 200, outcome.body);
    const seen: Record<string, unknown> = JSON.parse(outcome.body);
    assert.equal(seen['client'], from, 'the server sees the real address of the client');
    return seen;
  }

  async function refused(ship: keyof Stage['ships'], request: ShipRequest): Promise<void> {
    const outcome = await send(ship, request);
    assert.deepEqual(outcome.kind === 'answer' ? [outcome.status, outcome.body] : outcome, [
      403,
      'Access denied\r\n',
    ]);
  }

  async function counter(name: string): Promise<number> {
    return (await stage.status()).datapath.counters[name] ?? 0;
  }

  it('without a policy everybody reaches everything, and nothing is redirected', async () => {
    await lands('tiefighter', LAND, '10.77.0.2');
    await lands('tiefighter', EXHAUST, '10.77.0.2');
    await lands('xwing', LAND, '10.77.0.3');
    await lands('xwing', EXHAUST, '10.77.0.3');
    assert.equal(await counter('redirected'), 0);
    assert.equal(await counter('policy-default-deny'), 0);
  });

  it('under the L3/L4 policy the kernel drops the X-wing, and nothing passes through Envoy', async () => {
    stage.savePolicy('deathstar.yaml', exampleText('1-empire-only.yaml'));
    await stage.sync();
    await lands('tiefighter', LAND, '10.77.0.2');
    await lands('tiefighter', EXHAUST, '10.77.0.2');
    assert.deepEqual(await send('xwing', LAND), DROPPED);
    assert.deepEqual(await send('tiefighter', HANGAR), DROPPED);
    assert.equal(await counter('redirected'), 0);
    assert.ok((await counter('policy-default-deny')) >= 2);
    assert.deepEqual((await stage.status()).classes, []);
    assert.deepEqual(
      (await stage.flows(1_000)).filter(({ kind }) => kind === 'request'),
      [],
    );
  });

  it('says who was dropped and why', async () => {
    const flow = (await stage.flows(1_000)).find(
      ({ verdict, source }) => verdict === 'denied' && source.endpoint === 'xwing',
    );
    assert.equal(flow?.reason, 'policy-default-deny');
    assert.equal(flow?.destination.endpoint, 'deathstar');
    assert.equal(flow?.destination.port, 80);
    assert.ok(flow?.source.labels.includes('k8s:org=alliance'), JSON.stringify(flow));
  });

  it('under the L7 policy a landing request passes and the exhaust port answers 403', async () => {
    stage.savePolicy('deathstar.yaml', exampleText('2-landing-only.yaml'));
    await stage.sync();
    const before = await counter('redirected');
    const seen = await lands('tiefighter', LAND, '10.77.0.2');
    const headers = Object.keys(seen['headers'] as object).sort();
    // `connection` belongs to each hop alone (RFC 9110 7.6.1).
    assert.deepEqual(headers, ['content-length', 'host'], 'no header is added on the way');
    await refused('tiefighter', EXHAUST);
    assert.deepEqual(await send('xwing', LAND), DROPPED);
    assert.equal((await counter('redirected')) - before, 2);
  });

  it('shows each request with its verdict and the line that allowed it', async () => {
    const requests = await waitUntil('the access log', 5_000, async () => {
      const found = (await stage.flows(1_000)).filter(({ kind }) => kind === 'request');
      return found.length >= 2 ? { done: found } : { seen: found };
    });
    // Envoy's workers log each for itself: their order is not that of the requests.
    const landing = requests.find(({ request }) => request?.method === 'POST');
    const exhaust = requests.find(({ request }) => request?.method === 'PUT');
    assert.deepEqual(
      [landing?.verdict, landing?.request?.method, landing?.request?.path, landing?.request?.status],
      ['allowed', 'POST', '/v1/request-landing', 200],
    );
    assert.deepEqual([landing?.source.endpoint, landing?.destination.endpoint], ['tiefighter', 'deathstar']);
    assert.match(landing?.rules[0]?.places[0] ?? '', /deathstar\.yaml:\d+$/);
    assert.deepEqual(
      [exhaust?.verdict, exhaust?.request?.method, exhaust?.request?.status],
      ['denied', 'PUT', 403],
    );
  });

  it('counts the requests of each rule, and those that were refused', async () => {
    const rules = (await stage.client.call('GET', '/v1/rules')) as {
      places: readonly string[];
      requests: number;
    }[];
    assert.equal(rules.length, 1);
    assert.equal(rules[0]?.requests, 1);
    assert.match(rules[0]?.places[0] ?? '', /deathstar\.yaml:\d+$/);
    const metrics = await stage.client.read('/v1/metrics');
    assert.match(metrics, /^weir_requests_total\{verdict="denied",reason="ingress-rules"\} 1$/m);
    assert.match(metrics, /^weir_rule_requests_total\{rule="[0-9a-f]+",place=".*deathstar\.yaml:\d+"\} 1$/m);
    assert.match(metrics, /^weir_access_log_dropped_total 0$/m);
    assert.match(metrics, /^weir_datapath_total\{outcome="redirected"\} [1-9]/m);
  });

  it('redirects nothing that no L7 rule selects: another port, another workload', async () => {
    const before = await counter('redirected');
    await lands('tiefighter', HANGAR, '10.77.0.2');
    await lands('tiefighter', YAVIN, '10.77.0.2');
    await lands('deathstar', YAVIN, DEATHSTAR);
    assert.equal(await counter('redirected'), before);
  });

  it('lets an edit reach the next request of a connection that is open', async () => {
    const held = { ...EXHAUST, connection: 'held' };
    const first = await send('tiefighter', held);
    assert.equal(first.kind === 'answer' && first.status, 403);
    const edited = exampleText('2-landing-only.yaml').replace(
      'path: /v1/request-landing',
      'path: /v1/request-landing\n              - method: PUT\n                path: /v1/exhaust-port',
    );
    stage.savePolicy('deathstar.yaml', edited);
    const opened = await waitUntil('the edit', 5_000, async () => {
      const outcome = await send('tiefighter', held);
      return outcome.kind === 'answer' && outcome.status === 200 ? { done: outcome } : { seen: outcome };
    });
    assert.equal(opened.localPort, first.kind === 'answer' && first.localPort, 'it is the same connection');
    stage.savePolicy('deathstar.yaml', exampleText('2-landing-only.yaml'));
    const shut = await waitUntil('the edit back', 5_000, async () => {
      const outcome = await send('tiefighter', held);
      return outcome.kind === 'answer' && outcome.status === 403 ? { done: outcome } : { seen: outcome };
    });
    assert.equal(shut.localPort, opened.localPort, 'it is still the same connection');
  });

  it('explains what would happen, from the same policy', async () => {
    const query = { from: 'tiefighter', to: 'deathstar', port: '80', http: 'PUT /v1/exhaust-port' };
    const denied = (await stage.client.call('POST', '/v1/explain', query)) as {
      verdict: string;
      summary: string;
    };
    assert.equal(denied.verdict, 'denied');
    assert.match(denied.summary, /deathstar\.yaml/);
    const allowed = (await stage.client.call('POST', '/v1/explain', {
      ...query,
      http: 'POST /v1/request-landing',
    })) as { verdict: string };
    assert.equal(allowed.verdict, 'allowed');
  });

  for (const { name, text, says } of [
    { name: 'bad YAML', text: 'spec: [', says: /deathstar\.yaml:1:\d+/ },
    {
      name: 'an unknown field',
      text: exampleText('2-landing-only.yaml').replace('ingress:', 'ingres:'),
      says: /deathstar\.yaml:\d+:\d+.*`?ingres/,
    },
    {
      name: 'an invalid regex',
      text: exampleText('2-landing-only.yaml').replace('/v1/request-landing', '"/v1/(request"'),
      says: /deathstar\.yaml:\d+:\d+.*(regex|parenthes|expression)/i,
    },
  ]) {
    it(`refuses ${name} with its place, and keeps enforcing what it said last`, async () => {
      stage.savePolicy('deathstar.yaml', text);
      await stage.sync();
      const { policies, healthy } = await stage.status();
      assert.equal(healthy, false);
      const shown = policies.problems
        .map(({ file, line, column, message }) => `${file}:${line}:${column}: ${message}`)
        .join('\n');
      assert.match(shown, says);
      await lands('tiefighter', LAND, '10.77.0.2');
      await refused('tiefighter', EXHAUST);
      assert.deepEqual(await send('xwing', LAND), DROPPED);
    });
  }

  it('opens again when the policy is removed', async () => {
    stage.removePolicy('deathstar.yaml');
    await waitUntil('the removal', 5_000, async () => {
      const outcome = await send('xwing', EXHAUST);
      return outcome.kind === 'answer' ? { done: outcome } : { seen: outcome };
    });
    assert.deepEqual((await stage.status()).classes, []);
  });
});
