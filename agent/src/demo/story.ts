import { showFlow } from '../cli/show-flow.ts';
import { table } from '../cli/table.ts';
import type { Flow } from '../flows/flow.ts';
import type { Outcome, ShipRequest } from './ship.ts';
import { DEATHSTAR, exampleText, type Stage } from './stage.ts';
import { expect, firstOfEach } from './telling.ts';

type Crew = keyof Stage['ships'];

/** A request of the story, and what it is called in the tables. */
interface Attempt {
  readonly ship: Crew;
  readonly request: ShipRequest;
}

const LAND = { address: DEATHSTAR, port: 80, method: 'POST', path: '/v1/request-landing' } as const;
const EXHAUST = { address: DEATHSTAR, port: 80, method: 'PUT', path: '/v1/exhaust-port' } as const;
const HANGAR = { address: DEATHSTAR, port: 8080, method: 'GET', path: '/v1/hangar' } as const;
const YAVIN = { address: '10.77.0.3', port: 80, method: 'GET', path: '/v1/rebels' } as const;
const POLICY = 'deathstar.yaml';

/** What the kernel and the proxy have counted so far. */
interface Counts {
  readonly dropped: number;
  readonly redirected: number;
  readonly requests: number;
}

/** Tells the story with real requests. Throws when a line of it does not come true. */
export async function tellStory(stage: Stage, say: (text: string) => void): Promise<void> {
  say('\n1. No policy. Everybody reaches everything.');
  await show(stage, say, [
    [{ ship: 'tiefighter', request: LAND }, 200],
    [{ ship: 'tiefighter', request: EXHAUST }, 200],
    [{ ship: 'xwing', request: LAND }, 200],
    [{ ship: 'xwing', request: EXHAUST }, 200],
  ]);

  say('\n2. 1-empire-only.yaml: layers 3 and 4. The kernel drops the X-wing; Envoy sees nothing.');
  stage.savePolicy(POLICY, exampleText('1-empire-only.yaml'));
  await stage.sync();
  const second = await show(stage, say, [
    [{ ship: 'tiefighter', request: LAND }, 200],
    [{ ship: 'tiefighter', request: EXHAUST }, 200],
    [{ ship: 'xwing', request: LAND }, 'TIMEOUT'],
  ]);
  expect(second.redirected === 0 && second.requests === 0, 'nothing passed through Envoy');

  say('\n3. 2-landing-only.yaml: layer 7. A ship may ask to land; the exhaust port is shut.');
  stage.savePolicy(POLICY, exampleText('2-landing-only.yaml'));
  await stage.sync();
  const third = await show(stage, say, [
    [{ ship: 'tiefighter', request: LAND }, 200],
    [{ ship: 'tiefighter', request: EXHAUST }, 403],
    [{ ship: 'xwing', request: LAND }, 'TIMEOUT'],
  ]);
  expect(third.redirected === 2, 'the two connections of the TIE fighter were redirected');

  say('\n4. What no L7 rule selects is not redirected: another port, another workload.');
  const fourth = await show(stage, say, [
    [{ ship: 'tiefighter', request: HANGAR }, 200],
    [{ ship: 'tiefighter', request: YAVIN }, 200],
    [{ ship: 'deathstar', request: YAVIN }, 200],
  ]);
  expect(fourth.redirected === 0, 'none of these was redirected');

  say('\n5. The file is edited while a connection is open. Its next request obeys the new rules.');
  await editWhileOpen(stage, say);

  say('\n6. Why? The last verdicts (`weir monitor`):');
  for (const flow of distinct(await stage.flows(200))) say(`   ${showFlow(flow)}`);
}

/** Opens the exhaust port by an edit, on a connection that exists, and measures how long that takes. */
async function editWhileOpen(stage: Stage, say: (text: string) => void): Promise<void> {
  const ship = stage.ships.tiefighter;
  const held = { ...EXHAUST, connection: 'held' };
  const before = await ship.send(held);
  expect(status(before) === 403, 'the exhaust port is shut before the edit');
  const edited = exampleText('2-landing-only.yaml').replace(
    'path: /v1/request-landing',
    'path: /v1/request-landing\n              - method: PUT\n                path: /v1/exhaust-port',
  );
  const savedAt = stage.savePolicy(POLICY, edited);
  const deadline = savedAt + 5_000;
  for (;;) {
    const answer = await ship.send(held);
    const now = performance.now();
    if (status(answer) === 200) {
      expect(portOf(answer) === portOf(before), 'it is the same connection');
      say(
        `   PUT /v1/exhaust-port was 403 and is 200 on the same connection, ${(now - savedAt).toFixed(0)} ms after the file was saved.`,
      );
      return;
    }
    expect(now < deadline, `the edit takes effect within ${deadline - savedAt} ms`);
  }
}

/** The first flow of each kind of outcome that has something to say. */
function distinct(flows: readonly Flow[]): readonly Flow[] {
  const telling = flows.filter(({ kind, verdict }) => kind === 'request' || verdict !== 'allowed');
  return firstOfEach(telling, keyOf);
}

function keyOf({ verdict, reason, source, destination, request }: Flow): string {
  return [verdict, reason, source.endpoint, destination.endpoint, request?.method, request?.path].join(' ');
}

/** Makes the attempts, prints them in a table with what was counted meanwhile, and checks each outcome. */
async function show(
  stage: Stage,
  say: (text: string) => void,
  attempts: readonly (readonly [Attempt, number | string])[],
): Promise<Counts> {
  const before = await counts(stage);
  const rows: string[][] = [];
  for (const [{ ship, request }, expected] of attempts) {
    const outcome = await stage.ships[ship].send(request);
    rows.push([
      `   ${ship}`,
      `${request.method} ${request.address}:${request.port}${request.path}`,
      showOutcome(outcome),
    ]);
    const found = outcome.kind === 'answer' ? outcome.status : outcome.code;
    expect(
      found === expected,
      `${ship} ${request.method} ${request.path} ends with ${expected}, not ${found}`,
    );
    if (found === 403)
      expect(
        outcome.kind === 'answer' && outcome.body === 'Access denied\r\n',
        'the refusal says `Access denied`',
      );
  }
  say(table([['   FROM', 'REQUEST', 'OUTCOME'], ...rows]));
  const after = await requestsSettled(stage, before, attempts);
  const passed = {
    dropped: after.dropped - before.dropped,
    redirected: after.redirected - before.redirected,
    requests: after.requests - before.requests,
  };
  say(
    `   kernel: ${passed.dropped} packets dropped, ${passed.redirected} connections redirected. Envoy: ${passed.requests} requests.`,
  );
  return passed;
}

/** Envoy's access log arrives a moment after the response: waits until it is as long as the kernel says. */
async function requestsSettled(stage: Stage, before: Counts, attempts: readonly unknown[]): Promise<Counts> {
  const deadline = performance.now() + 3_000;
  for (;;) {
    const now = await counts(stage);
    const redirected = now.redirected - before.redirected;
    if (
      now.requests - before.requests >= Math.min(redirected, attempts.length) ||
      performance.now() > deadline
    )
      return now;
  }
}

async function counts(stage: Stage): Promise<Counts> {
  const { counters } = (await stage.status()).datapath;
  const requests = (await stage.flows(10_000)).filter(({ kind }) => kind === 'request').length;
  return {
    dropped: counters['policy-default-deny'] ?? 0,
    redirected: counters['redirected'] ?? 0,
    requests,
  };
}

function showOutcome(outcome: Outcome): string {
  if (outcome.kind === 'failure') return outcome.code === 'TIMEOUT' ? 'dropped: no answer' : outcome.code;
  return outcome.status === 403 ? `403 ${JSON.stringify(outcome.body)}` : `${outcome.status}`;
}

function status(outcome: Outcome): number {
  return outcome.kind === 'answer' ? outcome.status : 0;
}

function portOf(outcome: Outcome): number {
  return outcome.kind === 'answer' ? outcome.localPort : 0;
}
