import { type ChildProcess, spawn } from 'node:child_process';
import {
  cpSync,
  existsSync,
  mkdirSync,
  openSync,
  readFileSync,
  renameSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { join, resolve } from 'node:path';
import type { Status } from '../api/api-types.ts';
import { type ControlClient, ControlError, controlClient } from '../api/control-client.ts';
import type { Flow } from '../flows/flow.ts';
import { runDirectory, socketPaths } from '../options.ts';
import { createNetwork, type DemoNetwork, type Pod, removeNetwork } from './network.ts';
import { ended, run } from './run.ts';
import { launchServer, launchShip, type Server, type Ship } from './ship.ts';

/** The Death Star and two ships, each in a namespace of its own, with an agent on the node between them. */
export interface Stage {
  readonly network: DemoNetwork;
  readonly client: ControlClient;
  readonly ships: Readonly<Record<'tiefighter' | 'xwing' | 'deathstar', Ship>>;
  /** Where the agent looks for policies. */
  readonly policyDirectory: string;
  /** Where the agent looks for secrets. */
  readonly secretDirectory: string;
  readonly runDirectory: string;
  readonly stateDirectory: string;
  /** Puts a policy file in place with one rename, and gives the moment (milliseconds, monotonic) just after it. */
  savePolicy(name: string, text: string): number;
  removePolicy(name: string): void;
  /** Returns when everything in the folder is in force. Throws when it is not in time. */
  sync(): Promise<void>;
  status(): Promise<Status>;
  flows(last: number): Promise<readonly Flow[]>;
  /** Starts an agent, of another build when its root folder is given; resolves when it answers. */
  startAgent(root?: string): Promise<void>;
  /** The agent's process, when one was started. */
  agent(): ChildProcess | undefined;
  /** Lets this process end while servers, agent and Envoy go on; the ships come home. */
  leave(): Promise<void>;
  /** Ends ships, servers, agent and Envoy, and removes whatever they left. */
  strike(): Promise<void>;
}

/** What a stage is called; two stages with different names do not meet. */
export interface StageNames {
  readonly instance: string;
  readonly runDirectory: string;
  readonly stateDirectory: string;
}

const ROOT = resolve(import.meta.dirname, '../../..');
/** Files of examples/deathstar. */
export const EXAMPLE = join(ROOT, 'examples/deathstar');
/** The addresses that examples/deathstar/workloads.yaml names. */
export const PODS: readonly Pod[] = Object.freeze([
  { name: 'deathstar', address: '10.77.0.1', address6: 'fd77::1', interface: 'weir-deathstar' },
  { name: 'tiefighter', address: '10.77.0.2', address6: 'fd77::2', interface: 'weir-tie' },
  { name: 'xwing', address: '10.77.0.3', address6: 'fd77::3', interface: 'weir-xwing' },
]);
export const DEATHSTAR = '10.77.0.1';
export const DEATHSTAR6 = 'fd77::1';

/** The usual places of an instance. */
export function stageNames(instance: string): StageNames {
  return {
    instance,
    runDirectory: runDirectory({ instance }),
    stateDirectory: join('/var/lib/weir', instance),
  };
}

/** Sets the stage: network, servers, ships and an agent without policies. What an earlier run left goes first. */
export async function setStage(names: StageNames): Promise<Stage> {
  await clearStage(names);
  const network = await createNetwork(prefixOf(names), PODS);
  const policyDirectory = join(names.runDirectory, 'policies');
  const secretDirectory = join(names.runDirectory, 'secrets');
  const workloads = join(names.runDirectory, 'workloads.yaml');
  for (const folder of [policyDirectory, secretDirectory])
    mkdirSync(folder, { recursive: true, mode: 0o700 });
  cpSync(join(EXAMPLE, 'workloads.yaml'), workloads);
  const client = controlClient(socketPaths(names.runDirectory).control);
  let agent: ChildProcess | undefined;
  const closers: (() => Promise<void>)[] = [];

  async function startAgent(root = ROOT): Promise<void> {
    const [program, ...enter] = network.inNode;
    const log = openSync(join(names.runDirectory, 'agent.log'), 'a');
    const words = [
      '--policies',
      policyDirectory,
      '--secrets',
      secretDirectory,
      '--workloads',
      workloads,
      '--state-dir',
      names.stateDirectory,
    ];
    agent = spawn(program, [...enter, ...weir(names, root), 'agent', ...words, '--envoy-concurrency', '2'], {
      stdio: ['ignore', log, log],
      detached: true,
    });
    await answers(client, agent, join(names.runDirectory, 'agent.log'));
  }

  async function launchServers(stay: boolean): Promise<readonly Server[]> {
    return [
      await launchServer(network.inPod('deathstar'), [80, 8080], stay),
      await launchServer(network.inPod('xwing'), [80], stay),
    ];
  }

  async function goHome(): Promise<void> {
    for (const close of closers.splice(0)) await close();
  }

  async function strike(): Promise<void> {
    await goHome();
    if (agent !== undefined) {
      agent.kill('SIGTERM');
      await ended(agent);
    }
    await clearStage(names);
  }

  try {
    closers.push(...(await launchServers(false)).map(({ close }) => close));
    const ships = {
      tiefighter: launchShip(network.inPod('tiefighter')),
      xwing: launchShip(network.inPod('xwing')),
      deathstar: launchShip(network.inPod('deathstar')),
    };
    closers.push(ships.tiefighter.close, ships.xwing.close, ships.deathstar.close);
    await startAgent();
    return {
      network,
      client,
      ships,
      policyDirectory,
      secretDirectory,
      ...names,
      savePolicy(name, text) {
        const path = join(policyDirectory, name);
        writeFileSync(`${path}.new`, text);
        renameSync(`${path}.new`, path);
        return performance.now();
      },
      removePolicy: (name) => rmSync(join(policyDirectory, name)),
      async sync() {
        const { missing } = (await client.call('POST', '/v1/sync')) as { missing: readonly string[] };
        if (missing.length > 0) throw new Error(`not in force: ${missing.join('; ')}`);
      },
      status: async () => (await client.call('GET', '/v1/status')) as Status,
      async flows(last) {
        const flows: Flow[] = [];
        const never = new AbortController().signal;
        for await (const flow of client.stream(`/v1/flows?last=${last}`, never)) flows.push(flow as Flow);
        return flows;
      },
      startAgent,
      agent: () => agent,
      async leave() {
        await goHome();
        for (const server of await launchServers(true)) server.leave();
        agent?.unref();
      },
      strike,
    };
  } catch (error) {
    await strike();
    throw error;
  }
}

/** Text of a file of the example. */
export function exampleText(name: string): string {
  return readFileSync(join(EXAMPLE, name), 'utf8');
}

/** The command line that runs `weir` for an instance, with the Node that runs now. */
export function weir(
  { instance, runDirectory: directory }: StageNames,
  root: string = ROOT,
): readonly string[] {
  return [process.execPath, join(root, 'agent/src/main.ts'), '--instance', instance, '--run-dir', directory];
}

/** Removes whatever a stage of these names left, whether it ended well or not. */
export async function clearStage(names: StageNames): Promise<void> {
  const namespace = `/run/netns/${prefixOf(names)}-node`;
  const enter = existsSync(namespace) ? ['nsenter', `--net=${namespace}`] : [];
  const [program = '', ...words] = [
    ...enter,
    ...weir(names),
    'uninstall',
    '--force',
    '--state-dir',
    names.stateDirectory,
  ];
  await run(program, words);
  await removeNetwork(prefixOf(names), PODS);
}

function prefixOf({ instance }: StageNames): string {
  return `weir-${instance}`;
}

async function answers(client: ControlClient, agent: ChildProcess, log: string): Promise<void> {
  const deadline = performance.now() + 60_000;
  for (;;) {
    try {
      await client.call('GET', '/v1/status');
      return;
    } catch (error) {
      if (!(error instanceof ControlError)) throw error;
      if (agent.exitCode !== null)
        throw new Error(`the agent ended with status ${agent.exitCode}:\n${readFileSync(log, 'utf8')}`);
      if (performance.now() > deadline)
        throw new Error(`the agent did not answer in time:\n${readFileSync(log, 'utf8')}`);
    }
    await new Promise((next) => setTimeout(next, 20));
  }
}
