// A node with its agent, its Envoy and two workloads, of a name of its own, so that several stand beside each other.
import { type ChildProcess, execFileSync, spawn } from 'node:child_process';
import { mkdirSync, openSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import {
  controlClient,
  createNetwork,
  type DemoNetwork,
  launchServer,
  launchShip,
  type Pod,
  type Ship,
  type StageNames,
  type Status,
  socketPaths,
  stageNames,
  weir,
} from '@weir/agent';
import { waitUntil } from '../wait-until.ts';

export type Role = 'client' | 'server';

export interface TestNode {
  readonly names: StageNames;
  readonly network: DemoNetwork;
  readonly pods: Readonly<Record<Role, Required<Pod>>>;
  readonly ships: Readonly<Record<Role | 'host', Ship>>;
  /** Puts a policy file in place and returns when it is in force. */
  policy(name: string, text: string): Promise<void>;
  /** Takes a policy file away and returns when that is in force. */
  noPolicy(name: string): Promise<void>;
  /** Gives the client other labels, and returns when they are in force. */
  relabel(labels: string): Promise<void>;
  status(): Promise<Status>;
  close(): Promise<void>;
}

/** The link between nodes, on either side. */
export const uplink = 'weir-net';

/** Node `number`: its workloads are 10.8NUMBER.0.1 and .2, fd8NUMBER::1 and ::2. The link to other nodes is made later. */
export async function openNode(instance: string, number: number): Promise<TestNode> {
  const names = stageNames(instance);
  const pod = (role: Role, place: number): Required<Pod> => ({
    name: role,
    address: `10.8${number}.0.${place}`,
    address6: `fd8${number}::${place}`,
    interface: `weir-${role}`,
  });
  const pods = { client: pod('client', 1), server: pod('server', 2) };
  const network = await createNetwork(`weir-${instance}`, Object.values(pods));
  const policies = join(names.runDirectory, 'policies');
  const workloads = join(names.runDirectory, 'workloads.yaml');
  mkdirSync(policies, { recursive: true });
  const put = (path: string, text: string): void => {
    writeFileSync(`${path}.new`, text);
    renameSync(`${path}.new`, path);
  };
  const putWorkloads = (labels: string): void => put(workloads, workloadsText(pods, labels));
  putWorkloads('app: client');

  const servers = [await launchServer(network.inPod('server'), [80, 8080])];
  const ships = {
    client: launchShip(network.inPod('client')),
    server: launchShip(network.inPod('server')),
    host: launchShip(network.inNode),
  };
  const client = controlClient(socketPaths(names.runDirectory).control);
  const log = join(names.runDirectory, 'agent.log');
  const agent = startAgent(network, names, ['--policies', policies, '--workloads', workloads], log);
  await waitUntil('the agent', 30_000, async () => {
    try {
      return { done: await client.call('GET', '/v1/status') };
    } catch (error) {
      return { seen: `${String(error)}\n${readFileSync(log, 'utf8')}` };
    }
  });

  async function sync(): Promise<void> {
    const { missing } = (await client.call('POST', '/v1/sync')) as { missing: readonly string[] };
    if (missing.length > 0) throw new Error(`not in force: ${missing.join('; ')}`);
  }

  return {
    names,
    network,
    pods,
    ships,
    async policy(name, text) {
      put(join(policies, name), text);
      await sync();
    },
    async noPolicy(name) {
      rmSync(join(policies, name));
      await sync();
    },
    async relabel(labels) {
      putWorkloads(labels);
      await sync();
    },
    status: async () => (await client.call('GET', '/v1/status')) as Status,
    async close() {
      for (const part of [...Object.values(ships), ...servers]) await part.close();
      const [program, ...enter] = network.inNode;
      execFileSync(program, [
        ...enter,
        ...weir(names),
        'uninstall',
        '--force',
        '--state-dir',
        names.stateDirectory,
      ]);
      agent.kill('SIGKILL');
      await network.remove();
    },
  };
}

function startAgent(
  network: DemoNetwork,
  names: StageNames,
  files: readonly string[],
  log: string,
): ChildProcess {
  const [program, ...enter] = network.inNode;
  const output = openSync(log, 'a');
  const words = [
    ...files,
    '--state-dir',
    names.stateDirectory,
    '--uplink',
    uplink,
    '--envoy-concurrency',
    '1',
  ];
  return spawn(program, [...enter, ...weir(names), 'agent', ...words], {
    stdio: ['ignore', output, output],
    detached: true,
  });
}

function workloadsText(pods: TestNode['pods'], clientLabels: string): string {
  const entries = Object.values(pods).map(
    ({ name, address, address6, interface: link }) =>
      `  - name: ${name}\n    labels: { ${name === 'client' ? clientLabels : 'app: server'} }\n` +
      `    interface: ${link}\n    addresses: [${address}, "${address6}"]\n`,
  );
  return `workloads:\n${entries.join('')}`;
}

/** Joins two nodes by a veth pair, and gives each a route to the workloads of the other. */
export function joinNodes(a: TestNode, b: TestNode): void {
  const ip = (...words: readonly string[]): string => execFileSync('ip', [...words], { encoding: 'utf8' });
  const [left, right] = [a, b].map(({ network }) => network.namespaceOf('node')) as [string, string];
  ip('-n', left, 'link', 'add', uplink, 'type', 'veth', 'peer', 'name', uplink, 'netns', right);
  for (const [here, own, other, peer] of [
    [left, '1', '2', b],
    [right, '2', '1', a],
  ] as const) {
    ip('-n', here, 'address', 'add', `10.99.0.${own}/24`, 'dev', uplink);
    ip('-n', here, 'address', 'add', `fd99::${own}/64`, 'dev', uplink, 'nodad');
    ip('-n', here, 'link', 'set', uplink, 'up');
    ip('-n', here, 'route', 'add', peer.pods.client.address.replace(/1$/, '0/24'), 'via', `10.99.0.${other}`);
    ip('-n', here, 'route', 'add', peer.pods.client.address6.replace(/1$/, '/64'), 'via', `fd99::${other}`);
  }
}
