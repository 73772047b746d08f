// Parts die under load, again and again. Connections that no proxy serves live through all of it; what policy refuses is
// refused all the time. WEIR_CRASH_ROUNDS says how often (20 for the whole show).
import assert from 'node:assert/strict';
import type { ChildProcess } from 'node:child_process';
import { after, before, describe, it } from 'node:test';
import {
  DEATHSTAR,
  exampleText,
  type Outcome,
  type Ship,
  type ShipRequest,
  type Stage,
  setStage,
  stageNames,
} from '@weir/agent';
import { makeOtherBuild, type OtherBuild } from '../bpf/other-build.ts';
import { assertNothingLeft } from '../integration/leaks.ts';
import { waitUntil } from '../integration/wait-until.ts';
import { runName } from '../run-name.ts';

const rounds = Number(process.env['WEIR_CRASH_ROUNDS'] ?? '2');
const names = stageNames(runName('crash'));
const HANGAR = { address: DEATHSTAR, port: 8080, method: 'GET', path: '/v1/hangar' };
const LAND = { address: DEATHSTAR, port: 80, method: 'POST', path: '/v1/request-landing' };
const EXHAUST = { address: DEATHSTAR, port: 80, method: 'PUT', path: '/v1/exhaust-port' };
const idleConnections = 10;

/** What the load came to. */
interface Tally {
  direct: number;
  proxied: number;
  refused: number;
  readonly lostDirect: string[];
  readonly lostProxied: string[];
  readonly slipped: string[];
}

describe(`parts that die under load, ${rounds} rounds each`, () => {
  let stage: Stage;
  let other: OtherBuild;

  before(async () => {
    other = makeOtherBuild();
    stage = await setStage(names);
    stage.savePolicy('deathstar.yaml', exampleText('2-landing-only.yaml'));
    await stage.sync();
  });
  after(async () => {
    await stage?.strike();
    other?.remove();
    assertNothingLeft(names);
  });

  it('the agent: nothing is lost, proxied or not', async () => {
    const tally = await underLoad(async () => {
      await killAgent();
      await startAgent();
    });
    assert.deepEqual(tally.lostProxied, []);
  });

  it('Envoy: what is not proxied is not lost, and what is comes back', async () => {
    await underLoad(async () => {
      killProcess(await envoyPid());
      await proxiedAgain();
    });
  });

  it('an upgrade to another layout, and back: what is not proxied is not lost', async () => {
    let newer = false;
    await underLoad(async () => {
      newer = !newer;
      await killAgent();
      await startAgent(newer ? other.root : undefined);
    });
  });

  it('all at once: what is not proxied is not lost, and what is comes back', async () => {
    let newer = false;
    await underLoad(async () => {
      newer = !newer;
      const pid = await envoyPid();
      const gone = killAgent();
      killProcess(pid);
      await gone;
      await startAgent(newer ? other.root : undefined);
      await proxiedAgain();
    });
  });

  /** Runs the rounds while requests of all kinds go on, and checks what must hold whatever dies. */
  async function underLoad(round: () => Promise<void>): Promise<Tally> {
    const tally: Tally = { direct: 0, proxied: 0, refused: 0, lostDirect: [], lostProxied: [], slipped: [] };
    const load = startLoad(stage.ships, tally);
    await load.rest();
    for (let count = 0; count < rounds; count += 1) {
      await round();
      await load.rest();
    }
    await load.stop();
    console.log(
      `${tally.direct} direct requests, ${tally.lostDirect.length} lost; ${tally.proxied} proxied, ` +
        `${tally.lostProxied.length} failed; ${tally.refused} refused, ${tally.slipped.length} slipped through`,
    );
    assert.deepEqual(tally.lostDirect, []);
    assert.deepEqual(tally.slipped, []);
    assert.ok(tally.direct > 50 * rounds, `${tally.direct} requests`);
    return tally;
  }

  async function killAgent(): Promise<void> {
    const agent = stage.agent();
    assert.ok(agent?.pid);
    const gone = exited(agent);
    process.kill(agent.pid, 'SIGKILL');
    await gone;
  }

  async function startAgent(root?: string): Promise<void> {
    await stage.startAgent(root);
    await stage.sync();
  }

  async function envoyPid(): Promise<number> {
    const { pid } = (await stage.status()).envoy;
    assert.ok(pid !== null);
    return pid;
  }

  function proxiedAgain(): Promise<Outcome> {
    return waitUntil('Envoy', 20_000, async () => {
      const outcome = await stage.ships.tiefighter.send({ ...LAND, timeoutMs: 300 });
      return isOk(outcome) ? { done: outcome } : { seen: outcome };
    });
  }
});

/** Requests without a pause on kept and on new connections, and on some that rest between the rounds. */
function startLoad(ships: Stage['ships'], tally: Tally): { rest(): Promise<void>; stop(): Promise<void> } {
  const ports = new Map<string, number>();
  let going = true;

  async function direct(request: ShipRequest): Promise<void> {
    const outcome = await ships.tiefighter.send({ ...request, timeoutMs: 10_000 });
    tally.direct += 1;
    if (!isOk(outcome)) tally.lostDirect.push(JSON.stringify(outcome));
    else if (request.connection !== undefined) {
      const first = ports.get(request.connection) ?? outcome.localPort;
      ports.set(request.connection, first);
      if (first !== outcome.localPort) tally.lostDirect.push(`${request.connection} was made anew`);
    }
  }
  async function proxied(connection: string | undefined): Promise<void> {
    const request = { ...LAND, timeoutMs: 5_000, ...(connection === undefined ? {} : { connection }) };
    const outcome = await ships.tiefighter.send(request);
    tally.proxied += 1;
    if (!isOk(outcome)) tally.lostProxied.push(JSON.stringify(outcome));
  }
  async function refused(ship: Ship, request: ShipRequest): Promise<void> {
    const outcome = await ship.send({ ...request, timeoutMs: 100 });
    tally.refused += 1;
    if (outcome.kind === 'answer' && outcome.status !== 403)
      tally.slipped.push(JSON.stringify([request, outcome]));
  }
  const repeat = async (send: () => Promise<void>): Promise<void> => {
    while (going) await send();
  };
  const lines = [
    repeat(() => direct({ ...HANGAR, connection: 'busy-1' })),
    repeat(() => direct({ ...HANGAR, connection: 'busy-2' })),
    repeat(() => direct(HANGAR)),
    repeat(() => proxied('proxied-1')),
    repeat(() => proxied(undefined)),
    repeat(() => refused(ships.xwing, LAND)),
    repeat(() => refused(ships.xwing, HANGAR)),
    repeat(() => refused(ships.tiefighter, EXHAUST)),
  ];
  return {
    async rest() {
      const idle = Array.from({ length: idleConnections }, (_, index) =>
        direct({ ...HANGAR, connection: `idle-${index}` }),
      );
      await Promise.all(idle);
    },
    async stop() {
      going = false;
      await Promise.all(lines);
    },
  };
}

function isOk(outcome: Outcome): outcome is Extract<Outcome, { kind: 'answer' }> {
  return outcome.kind === 'answer' && outcome.status === 200;
}

function exited(child: ChildProcess): Promise<void> {
  return new Promise((resolve) => child.once('exit', () => resolve()));
}

function killProcess(pid: number): void {
  process.kill(pid, 'SIGKILL');
}
