import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { after, before, describe, it } from 'node:test';
import type { Outcome, Ship, ShipRequest } from '@weir/agent';
import { runName } from '../../run-name.ts';
import { assertNothingLeft } from '../leaks.ts';
import { joinNodes, openNode, type TestNode } from './node.ts';

const DROPPED = 'TIMEOUT';
const names = ['a', 'b'].map((letter) => runName(`two${letter}`)) as [string, string];

/** A policy for one workload. `http` is a list of rules, none is layer 4 alone. */
function policy(
  name: string,
  app: string,
  direction: 'ingress' | 'egress',
  peers: string,
  http?: string,
): string {
  const rules = http === undefined ? '' : `\n          rules: {http: [${http}]}`;
  return `apiVersion: cilium.io/v2
kind: CiliumNetworkPolicy
metadata: {name: ${name}, namespace: default}
spec:
  endpointSelector: {matchLabels: {app: ${app}}}
  ${direction}:
    - ${peers}
      toPorts:
        - ports: [{port: "80", protocol: TCP}]${rules}
`;
}

/** Lets connections have these alone. */
function sourcePorts([program, ...enter]: readonly [string, ...string[]], first: number, last: number): void {
  execFileSync(program, [...enter, 'sysctl', '-qw', `net.ipv4.ip_local_port_range=${first} ${last}`]);
}

const NODE_A = '[10.81.0.0/24, "fd81::/64"]';
const NODE_B = '[10.82.0.0/24, "fd82::/64"]';
const VERSION_1 = '{path: "/v1/.*"}';
const POST = '{method: POST}';

describe('two nodes', () => {
  let a: TestNode;
  let b: TestNode;
  before(async () => {
    [a, b] = await Promise.all([openNode(names[0], 1), openNode(names[1], 2)]);
    joinNodes(a, b);
    // Few: so later connections meet what earlier ones left under their addresses and ports.
    sourcePorts(a.network.inPod('client'), 40_000, 40_063);
  });
  after(async () => {
    await a?.close();
    await b?.close();
    for (const node of [a, b]) if (node !== undefined) assertNothingLeft(node.names);
  });

  const result = (outcome: Outcome): number | string =>
    outcome.kind === 'answer' ? outcome.status : outcome.code;
  const ask = async (ship: Ship, address: string, method: string, path: string): Promise<number | string> =>
    result(await ship.send({ address, port: 80, method, path, timeoutMs: 3_000 }));
  const dropped = async (ship: Ship, address: string): Promise<void> =>
    assert.equal(
      result(await ship.send({ address, port: 80, method: 'GET', path: '/', timeoutMs: 400 })),
      DROPPED,
    );
  /** Who the server saw. */
  const seen = async (ship: Ship, address: string, method = 'POST', path = '/v1/x'): Promise<string> => {
    const outcome = await ship.send({ address, port: 80, method, path, timeoutMs: 3_000 });
    assert.equal(outcome.kind === 'answer' && outcome.status, 200, JSON.stringify(outcome));
    return outcome.kind === 'answer' ? JSON.parse(outcome.body).client : '';
  };
  const redirected = async (node: TestNode): Promise<number> =>
    (await node.status()).datapath.counters['redirected'] ?? 0;

  const families = [
    { family: 'IPv4', addressOf: (node: TestNode, role: 'client' | 'server') => node.pods[role].address },
    { family: 'IPv6', addressOf: (node: TestNode, role: 'client' | 'server') => node.pods[role].address6 },
  ] as const;

  for (const { family, addressOf } of families) {
    it(`without a policy nothing is redirected (${family})`, async () => {
      assert.equal(await seen(a.ships.client, addressOf(b, 'server')), addressOf(a, 'client'));
      assert.equal(await seen(a.ships.client, addressOf(a, 'server')), addressOf(a, 'client'));
    });

    it(`egress to the other node goes through the proxy of the source (${family})`, async () => {
      await a.policy('out.yaml', policy('out', 'client', 'egress', `toCIDR: ${NODE_B}`, POST));
      const before = await redirected(a);
      assert.equal(await seen(a.ships.client, addressOf(b, 'server')), addressOf(a, 'client'));
      assert.equal(await ask(a.ships.client, addressOf(b, 'server'), 'GET', '/v1/x'), 403);
      await dropped(a.ships.client, addressOf(a, 'server'));
      assert.equal((await redirected(a)) - before, 2);
    });

    it(`egress at one node and ingress at the other: either proxy has its say (${family})`, async () => {
      await b.policy('in.yaml', policy('in', 'server', 'ingress', `fromCIDR: ${NODE_A}`, VERSION_1));
      const before = await redirected(b);
      assert.equal(await seen(a.ships.client, addressOf(b, 'server')), addressOf(a, 'client'));
      assert.equal(await ask(a.ships.client, addressOf(b, 'server'), 'GET', '/v1/x'), 403, 'by the source');
      assert.equal(
        await ask(a.ships.client, addressOf(b, 'server'), 'POST', '/v2'),
        403,
        'by the destination',
      );
      assert.equal((await redirected(b)) - before, 2, 'what the source refuses never gets there');
    });

    it(`ingress from the other node goes through the proxy of the destination (${family})`, async () => {
      await a.noPolicy('out.yaml');
      assert.equal(await seen(a.ships.client, addressOf(b, 'server'), 'GET'), addressOf(a, 'client'));
      assert.equal(await ask(a.ships.client, addressOf(b, 'server'), 'GET', '/v2'), 403);
      await dropped(b.ships.client, addressOf(b, 'server'));
    });

    it(`the other node itself is the world, and this one is at home (${family})`, async () => {
      const entities = policy('in', 'server', 'ingress', 'fromEntities: [world]', VERSION_1);
      await b.policy('in.yaml', entities);
      assert.equal(await ask(a.ships.host, addressOf(b, 'server'), 'GET', '/v1/x'), 200);
      assert.equal(await ask(a.ships.host, addressOf(b, 'server'), 'GET', '/v2'), 403);
      assert.equal(await ask(b.ships.host, addressOf(b, 'server'), 'GET', '/v2'), 200);
    });

    it(`ingress and egress inside a node: one pass (${family})`, async () => {
      const fromClient = 'fromEndpoints: [{matchLabels: {app: client}}]';
      await b.policy('in.yaml', policy('in', 'server', 'ingress', fromClient, VERSION_1));
      const toServer = 'toEndpoints: [{matchLabels: {app: server}}]';
      await b.policy('out.yaml', policy('out', 'client', 'egress', toServer, POST));
      const before = await redirected(b);
      assert.equal(await seen(b.ships.client, addressOf(b, 'server')), addressOf(b, 'client'));
      assert.equal(await ask(b.ships.client, addressOf(b, 'server'), 'GET', '/v1/x'), 403);
      assert.equal(await ask(b.ships.client, addressOf(b, 'server'), 'POST', '/v2'), 403);
      assert.equal((await redirected(b)) - before, 3);
      await dropped(a.ships.client, addressOf(b, 'server'));
      await b.noPolicy('in.yaml');
      await b.noPolicy('out.yaml');
    });
  }

  /** Requests without a pause on kept and on new connections, inside node A and to node B, in both families. */
  function load(): { stop(): Promise<readonly Outcome[]> } {
    const outcomes: Outcome[] = [];
    let going = true;
    const lines = families.flatMap(({ family, addressOf }) =>
      [a, b].flatMap((to) =>
        [`kept ${family} ${to.names.instance}`, undefined].map(async (connection) => {
          const request: ShipRequest = {
            address: addressOf(to, 'server'),
            port: 80,
            method: 'POST',
            path: '/v1/x',
            timeoutMs: 10_000,
          };
          while (going) {
            outcomes.push(
              await a.ships.client.send(connection === undefined ? request : { ...request, connection }),
            );
          }
        }),
      ),
    );
    return {
      async stop() {
        going = false;
        await Promise.all(lines);
        return outcomes;
      },
    };
  }

  const cidrs = `fromCIDR: ${NODE_A}`;
  const endpoints = 'fromEndpoints: [{matchLabels: {app: client}}]';
  /** What is allowed in every step is what the load asks for. A step that moves connections may reset those it moves. */
  const steps: readonly (readonly [name: string, moves: boolean, step: () => Promise<unknown>])[] = [
    [
      'layer 4 on either side',
      false,
      async () => {
        await a.policy('in.yaml', policy('in', 'server', 'ingress', endpoints));
        await b.policy('in.yaml', policy('in', 'server', 'ingress', cidrs));
      },
    ],
    [
      'layer 4 becomes layer 7',
      true,
      async () => {
        await a.policy('in.yaml', policy('in', 'server', 'ingress', endpoints, VERSION_1));
        await b.policy('in.yaml', policy('in', 'server', 'ingress', cidrs, VERSION_1));
      },
    ],
    [
      'a rule is added in place',
      false,
      () => b.policy('in.yaml', policy('in', 'server', 'ingress', cidrs, `${VERSION_1}, {path: "/v2"}`)),
    ],
    [
      'a rule is taken away in place',
      false,
      () => b.policy('in.yaml', policy('in', 'server', 'ingress', cidrs, '{method: POST, path: "/v1/.*"}')),
    ],
    [
      'another document widens',
      false,
      () => b.policy('more.yaml', policy('more', 'server', 'ingress', cidrs, '{path: "/v3"}')),
    ],
    [
      'layer 7 becomes layer 4',
      false,
      () => b.policy('more.yaml', policy('more', 'server', 'ingress', cidrs)),
    ],
    [
      'egress of the source as well',
      true,
      async () => {
        const out = policy('out', 'client', 'egress', `toCIDR: ${NODE_B}`, POST);
        const inside = policy(
          'inside',
          'client',
          'egress',
          'toEndpoints: [{matchLabels: {app: server}}]',
          POST,
        );
        await a.policy('out.yaml', `${out}---\n${inside}`);
      },
    ],
    ['the client gets another identity', false, () => a.relabel('app: client, stage: second')],
    [
      'all of it goes',
      false,
      async () => {
        await a.noPolicy('out.yaml');
        // The one that asks for layer 7 first: without the other it would narrow what passes beside the proxy.
        await b.noPolicy('in.yaml');
        await b.noPolicy('more.yaml');
        await a.noPolicy('in.yaml');
      },
    ],
  ];
  for (const [name, moves, step] of steps) {
    it(`under load: ${name}`, async () => {
      const running = load();
      await step();
      const outcomes = await running.stop();
      assert.ok(outcomes.length >= 8);
      const failed = outcomes.map(result).filter((code) => code !== 200);
      // A reset meets some while they open: their kernel calls that refused.
      const resets: readonly unknown[] = moves ? ['ECONNRESET', 'ECONNREFUSED'] : [];
      const allowed = failed.filter((code) => resets.includes(code));
      assert.deepEqual(failed, allowed, `of ${outcomes.length} requests`);
      for (const { addressOf } of families)
        for (const to of [a, b])
          assert.equal(await ask(a.ships.client, addressOf(to, 'server'), 'POST', '/v1/x'), 200);
    });
  }

  it('an identity that loses its permission is cut, on either node', async () => {
    await a.policy('in.yaml', policy('in', 'server', 'ingress', endpoints, VERSION_1));
    const kept = (connection: string): Promise<Outcome> =>
      a.ships.client.send({
        address: a.pods.server.address,
        port: 80,
        method: 'GET',
        path: '/v1/x',
        connection,
      });
    assert.equal(result(await kept('doomed')), 200);
    await a.relabel('app: stranger');
    assert.match(String(result(await kept('doomed'))), /^(ECONNRESET|TIMEOUT)$/);
    await dropped(a.ships.client, a.pods.server.address);
    await a.relabel('app: client');
    assert.equal(result(await kept('new')), 200);
    await a.noPolicy('in.yaml');
  });

  it('with hardly any source ports, clients and proxies use the same ones, and all are served', async () => {
    await a.policy('out.yaml', policy('out', 'client', 'egress', `toCIDR: ${NODE_B}`, POST));
    await b.policy('in.yaml', policy('in', 'server', 'ingress', cidrs, VERSION_1));
    for (const place of [a.network.inPod('client'), a.network.inNode, b.network.inNode])
      sourcePorts(place, 40_000, 40_015);
    for (let round = 0; round < 4; round += 1) {
      const asked = families.flatMap(({ addressOf }) =>
        Array.from({ length: 6 }, (_, place) =>
          a.ships.client.send({
            address: addressOf(b, 'server'),
            port: 80,
            method: 'POST',
            path: '/v1/x',
            connection: `c${place}`,
            timeoutMs: 10_000,
          }),
        ),
      );
      assert.deepEqual(new Set((await Promise.all(asked)).map(result)), new Set([200]));
    }
  });
});
