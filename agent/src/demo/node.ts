import { type ChildProcess, spawn } from 'node:child_process';
import { cpSync, existsSync, mkdirSync, openSync, readFileSync, rmSync } from 'node:fs';
import { join, resolve } from 'node:path';
import type { Status } from '../api/api-types.ts';
import { type ControlClient, ControlError, controlClient } from '../api/control-client.ts';
import { placeFile } from '../files/place-file.ts';
import type { Flow } from '../flows/flow.ts';
import { runDirectory, socketPaths } from '../options.ts';
import { createNetwork, type DemoNetwork, type Pod, removeNetwork } from './network.ts';
import { ended, run } from './run.ts';

/** What a stage is called; two stages with different names do not meet. */
export interface StageNames {
  readonly instance: string;
  readonly runDirectory: string;
  readonly stateDirectory: string;
}

/** A node of namespaces with an agent, whose workloads others bring to life. */
export interface DemoNode {
  readonly network: DemoNetwork;
  readonly client: ControlClient;
  /** Where the agent looks for policies. */
  readonly policyDirectory: string;
  /** Where the agent looks for secrets. */
  readonly secretDirectory: string;
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
  /** Ends the agent and removes whatever the node left. Its workloads' processes are ended first by who made them. */
  strike(): Promise<void>;
}

/** Who lives on a node. */
export interface Cast {
  readonly pods: readonly Pod[];
  /** Path of the file that names the workloads. */
  readonly workloads: string;
  /** More words for the agent. */
  readonly agentWords?: readonly string[];
  /** Whether the agent and what else is started goes on when this process ends. */
  readonly stays?: boolean;
}

const ROOT = resolve(import.meta.dirname, '../../..');

/** A folder of examples/. */
export function exampleFolder(name: string): string {
  return join(ROOT, 'examples', name);
}

/** The usual places of an instance. */
export function stageNames(instance: string): StageNames {
  return {
    instance,
    runDirectory: runDirectory({ instance }),
    stateDirectory: join('/var/lib/weir', instance),
  };
}

/** Makes the namespaces and folders; no agent yet. What an earlier run left goes first. */
export async function setNode(
  names: StageNames,
  { pods, workloads, agentWords = [], stays = false }: Cast,
): Promise<DemoNode> {
  await clearNode(names, pods);
  const network = await createNetwork(prefixOf(names), pods, stays);
  const policyDirectory = join(names.runDirectory, 'policies');
  const secretDirectory = join(names.runDirectory, 'secrets');
  const workloadsFile = join(names.runDirectory, 'workloads.yaml');
  for (const folder of [policyDirectory, secretDirectory])
    mkdirSync(folder, { recursive: true, mode: 0o700 });
  cpSync(workloads, workloadsFile);
  const client = controlClient(socketPaths(names.runDirectory).control);
  let agent: ChildProcess | undefined;

  return {
    network,
    client,
    policyDirectory,
    secretDirectory,
    savePolicy(name, text) {
      placeFile(policyDirectory, name, text);
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
    async startAgent(root = ROOT) {
      const [program, ...enter] = network.inNode;
      const log = openSync(join(names.runDirectory, 'agent.log'), 'a');
      const words = [
        '--policies',
        policyDirectory,
        '--secrets',
        secretDirectory,
        '--workloads',
        workloadsFile,
        '--state-dir',
        names.stateDirectory,
        ...agentWords,
      ];
      agent = spawn(
        program,
        [...enter, ...weir(names, root), 'agent', ...words, '--envoy-concurrency', '2'],
        {
          stdio: ['ignore', log, log],
          detached: true,
        },
      );
      await answers(client, agent, join(names.runDirectory, 'agent.log'));
    },
    agent: () => agent,
    async strike() {
      if (agent !== undefined) {
        agent.kill('SIGTERM');
        await ended(agent);
      }
      await clearNode(names, pods);
    },
  };
}

/** The command line that runs `weir` for an instance, with the Node that runs now. */
export function weir(
  { instance, runDirectory: directory }: StageNames,
  root: string = ROOT,
): readonly string[] {
  return [process.execPath, join(root, 'agent/src/main.ts'), '--instance', instance, '--run-dir', directory];
}

/** Removes whatever a node of these names left, whether it ended well or not. */
export async function clearNode(names: StageNames, pods: readonly Pod[]): Promise<void> {
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
  await removeNetwork(prefixOf(names), pods);
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
