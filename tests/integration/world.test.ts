import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { after, before, describe, it } from 'node:test';
import {
  DEATHSTAR,
  DEATHSTAR6,
  launchServer,
  launchShip,
  type Outcome,
  type Server,
  type Ship,
  type Stage,
  setStage,
  stageNames,
} from '@weir/agent';
import { runName } from '../run-name.ts';
import { assertNothingLeft } from './leaks.ts';

const names = stageNames(runName('world'));
const WORLD = `weir-${names.instance}-world`;
const WORLD_ADDRESS = '10.99.0.2';
const NODE_ADDRESS = '10.99.0.1';
const WORLD_ADDRESS6 = 'fd99::2';
const NODE_ADDRESS6 = 'fd99::1';
const DROPPED: Outcome = { kind: 'failure', code: 'TIMEOUT' };
const families = [
  {
    family: 'IPv4',
    world: WORLD_ADDRESS,
    deathstar: DEATHSTAR,
    tiefighter: '10.77.0.2',
    xwing: '10.77.0.3',
    node: '169.254.1.1',
  },
  {
    family: 'IPv6',
    world: WORLD_ADDRESS6,
    deathstar: DEATHSTAR6,
    tiefighter: 'fd77::2',
    xwing: 'fd77::3',
    node: NODE_ADDRESS6,
  },
] as const;
const enterWorld = ['nsenter', `--net=/run/netns/${WORLD}`] as const;
const ip = (...words: readonly string[]): string => execFileSync('ip', [...words], { encoding: 'utf8' });

const POLICY = `apiVersion: cilium.io/v2
kind: CiliumNetworkPolicy
metadata: {name: into-the-star, namespace: default}
spec:
  endpointSelector: {matchLabels: {class: deathstar}}
  ingress:
    - fromEntities: [world]
      toPorts:
        - ports: [{port: "80", protocol: TCP}]
          rules: {http: [{path: "/v1/.*"}]}
---
apiVersion: cilium.io/v2
kind: CiliumNetworkPolicy
metadata: {name: out-of-the-fighter, namespace: default}
spec:
  endpointSelector: {matchLabels: {class: tiefighter}}
  egress:
    - toCIDR: [${WORLD_ADDRESS}/32, '${WORLD_ADDRESS6}/128']
      toPorts:
        - ports: [{port: "80", protocol: TCP}]
          rules: {http: [{method: POST}]}
`;

describe('workloads and the world', () => {
  let stage: Stage;
  let server: Server;
  let visitor: Ship;
  let host: Ship;

  before(async () => {
    stage = await setStage(names);
    const node = stage.network.namespaceOf('node');
    ip('netns', 'add', WORLD);
    ip('-n', node, 'link', 'add', 'weir-up', 'type', 'veth', 'peer', 'name', 'eth0', 'netns', WORLD);
    ip('-n', node, 'address', 'add', `${NODE_ADDRESS}/24`, 'dev', 'weir-up');
    ip('-n', node, 'address', 'add', `${NODE_ADDRESS6}/64`, 'dev', 'weir-up', 'nodad');
    ip('-n', node, 'link', 'set', 'weir-up', 'up');
    ip('-n', WORLD, 'link', 'set', 'lo', 'up');
    ip('-n', WORLD, 'address', 'add', `${WORLD_ADDRESS}/24`, 'dev', 'eth0');
    ip('-n', WORLD, 'address', 'add', `${WORLD_ADDRESS6}/64`, 'dev', 'eth0', 'nodad');
    ip('-n', WORLD, 'link', 'set', 'eth0', 'up');
    ip('-n', node, 'route', 'add', 'default', 'via', WORLD_ADDRESS);
    ip('-n', WORLD, 'route', 'add', '10.77.0.0/24', 'via', NODE_ADDRESS);
    ip('-n', node, 'route', 'add', 'default', 'via', WORLD_ADDRESS6);
    ip('-n', WORLD, 'route', 'add', 'fd77::/64', 'via', NODE_ADDRESS6);
    server = await launchServer(enterWorld, [80, 8080]);
    visitor = launchShip(enterWorld);
    host = launchShip(stage.network.inNode);
    stage.savePolicy('world.yaml', POLICY);
    await stage.sync();
  });
  after(async () => {
    for (const part of [server, visitor, host]) await part?.close();
    await stage?.strike();
    ip('netns', 'delete', WORLD);
    assertNothingLeft(names);
  });

  function check(outcome: Outcome, status: number, client: string): void {
    assert.equal(outcome.kind === 'answer' ? outcome.status : outcome.code, status);
    if (outcome.kind === 'answer' && status === 200) assert.equal(JSON.parse(outcome.body).client, client);
  }

  for (const { family, world, deathstar, tiefighter, xwing, node } of families) {
    it(`obeys rules on the way out, and the server sees who asked (${family})`, async () => {
      const out = { address: world, port: 80 };
      check(await stage.ships.tiefighter.send({ ...out, method: 'POST', path: '/' }), 200, tiefighter);
      check(await stage.ships.tiefighter.send({ ...out, method: 'GET', path: '/' }), 403, '');
      const elsewhere = await stage.ships.tiefighter.send({ ...out, port: 8080, method: 'POST', path: '/' });
      assert.deepEqual(elsewhere, DROPPED);
    });

    it(`obeys rules on the way in, and the server sees who asked (${family})`, async () => {
      const into = { address: deathstar, port: 80, method: 'GET' };
      check(await visitor.send({ ...into, path: '/v1/x' }), 200, world);
      check(await visitor.send({ ...into, path: '/secret' }), 403, '');
      assert.deepEqual(await visitor.send({ ...into, port: 8080, path: '/v1/x' }), DROPPED);
    });

    it(`lets the node itself in, as the local host may (${family})`, async () => {
      check(await host.send({ address: deathstar, port: 8080, method: 'GET', path: '/' }), 200, node);
    });

    it(`leaves workloads that no policy selects alone, both ways (${family})`, async () => {
      const out = { address: world, port: 8080, method: 'GET', path: '/' };
      check(await stage.ships.xwing.send(out), 200, xwing);
      check(await visitor.send({ ...out, address: xwing, port: 80 }), 200, world);
    });
  }
});
