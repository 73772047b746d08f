import { availableParallelism, totalmem } from 'node:os';
import { join, resolve } from 'node:path';
import { type AccelerationChoice, type DenyAction, ipPrefix } from '@weir/bpf';
import { envoyBootstrap } from '@weir/envoy-config';
import { type Instance, instanceOf } from '@weir/redirect';
import type { SecretVariable } from './policies/secret-source.ts';

/** The cluster that workloads of this node belong to, as policies name it. */
export const CLUSTER_NAME = 'default';
/** Names of files in a policy folder that are read. */
export const POLICY_FILE = /^[^.].*\.(ya?ml|json)$/;

/** How an agent was asked to run. Paths are absolute. */
export interface AgentOptions {
  readonly instance: Instance;
  /** Survives a restart: identities, endpoints, the Envoy process, last good versions. */
  readonly stateDirectory: string;
  /** Sockets, and the numbers and ports that the kernel's maps go by; gone after a reboot, as those are. */
  readonly runDirectory: string;
  readonly bpffs: string;
  readonly policyDirectory: string;
  /** Null: no secret comes from a file. */
  readonly secretDirectory: string | null;
  readonly secretVariables: readonly SecretVariable[];
  /** Null: workloads come only from `weir endpoint add`. */
  readonly workloadsFile: string | null;
  /** The Envoy to start; null when it runs by itself from `weir envoy bootstrap`. */
  readonly envoyBinary: string | null;
  /** Names of interfaces to the rest of the world; null: those of the default routes. */
  readonly uplinks: readonly string[] | null;
  /** Where only workloads of this node, and the node, have addresses. Empty: nothing is known of that. */
  readonly workloadPrefixes: readonly string[];
  /** What a new connection hears that is refused, where the workload does not say. */
  readonly denyAction: DenyAction;
  /** Whether connections of the proxy go around TCP inside the node. */
  readonly accelerate: AccelerationChoice;
  readonly envoyConcurrency: number;
  readonly envoyCaps: EnvoyCaps;
  readonly proxyPorts: { readonly first: number; readonly last: number };
  readonly logLevel: string;
}

/** What the proxy may use in all; past it new work is refused, so that one workload cannot end it for all. */
export interface EnvoyCaps {
  readonly maxConnections: number;
  readonly maxHeapBytes: number;
}

/** The words of the command line that matter to an agent; all optional. */
export interface AgentWords {
  readonly instance?: string;
  readonly stateDir?: string;
  readonly runDir?: string;
  readonly bpffs?: string;
  readonly policies?: string;
  readonly workloads?: string;
  readonly secrets?: string;
  readonly secretEnv?: readonly string[];
  readonly envoy?: string;
  readonly externalEnvoy?: boolean;
  readonly uplink?: readonly string[];
  readonly workloadCidr?: readonly string[];
  readonly denyAction?: string;
  readonly accelerate?: string;
  readonly envoyConcurrency?: string;
  readonly envoyConnections?: string;
  readonly envoyHeap?: string;
  readonly proxyPorts?: string;
  readonly logLevel?: string;
}

/** Where systemd mounts a BPF file system. */
export const DEFAULT_BPFFS = '/sys/fs/bpf';
const DEFAULT_ENVOY = resolve(import.meta.dirname, '../../build/envoy/envoy/_bin/envoy');

/** Fills in the defaults. Throws an Error that names the word which cannot be used. */
export function agentOptions(
  words: AgentWords,
  environment: Readonly<Record<string, string | undefined>> = {},
): AgentOptions {
  const instance = instanceOf(words.instance ?? 'default');
  return Object.freeze({
    instance,
    stateDirectory: resolve(words.stateDir ?? join('/var/lib/weir', instance.name)),
    runDirectory: runDirectory(words),
    bpffs: words.bpffs ?? DEFAULT_BPFFS,
    policyDirectory: resolve(words.policies ?? '/etc/weir/policies'),
    secretDirectory: words.secrets === undefined ? null : resolve(words.secrets),
    secretVariables: (words.secretEnv ?? []).map((word) => secretVariable(word, environment)),
    workloadsFile: words.workloads === undefined ? null : resolve(words.workloads),
    envoyBinary: words.externalEnvoy === true ? null : resolve(words.envoy ?? DEFAULT_ENVOY),
    uplinks: words.uplink ?? null,
    workloadPrefixes: (words.workloadCidr ?? []).map(workloadPrefix),
    denyAction: denyAction(words.denyAction ?? 'drop'),
    accelerate: accelerationChoice(words.accelerate ?? 'auto'),
    envoyConcurrency: concurrency(words.envoyConcurrency),
    envoyCaps: envoyCaps(words),
    proxyPorts: portRange(words.proxyPorts ?? '14000-18095'),
    logLevel: words.logLevel ?? 'info',
  });
}

/** Where the sockets of an instance stand: all that a client of the agent needs to know. */
export function runDirectory(words: Pick<AgentWords, 'instance' | 'runDir'>): string {
  return resolve(words.runDir ?? join('/run/weir', instanceOf(words.instance ?? 'default').name));
}

/** The sockets in a run directory. */
export function socketPaths(directory: string): {
  readonly control: string;
  readonly xds: string;
  readonly accessLog: string;
  readonly admin: string;
} {
  return {
    control: join(directory, 'control.sock'),
    xds: join(directory, 'xds.sock'),
    accessLog: join(directory, 'access-log.sock'),
    admin: join(directory, 'envoy-admin.sock'),
  };
}

/** The bootstrap of the instance's Envoy, whoever starts it. */
export function bootstrapOf({
  instance,
  runDirectory: directory,
  envoyCaps: { maxConnections, maxHeapBytes },
}: Pick<AgentOptions, 'instance' | 'runDirectory' | 'envoyCaps'>): string {
  const sockets = socketPaths(directory);
  return envoyBootstrap({
    nodeId: `weir-${instance.name}`,
    nodeCluster: 'weir',
    adminSocketPath: sockets.admin,
    xdsSocketPath: sockets.xds,
    accessLogSocketPath: sockets.accessLog,
    maxHeapBytes,
    maxConnections,
  });
}

function secretVariable(
  word: string,
  environment: Readonly<Record<string, string | undefined>>,
): SecretVariable {
  const [, namespace, name, variable] = /^([^/=]+)\/([^/=]+)=(.+)$/.exec(word) ?? [];
  if (namespace === undefined || name === undefined || variable === undefined) {
    throw new Error(`--secret-env ${word}: expected NAMESPACE/NAME=VARIABLE`);
  }
  const value = environment[variable];
  if (value === undefined) throw new Error(`--secret-env ${word}: the environment has no ${variable}`);
  return { namespace, name, value };
}

const DEFAULT_CONNECTIONS = 100_000;
const MIB = 1024 * 1024;

/** Half of the machine's memory when nothing else is said: the workloads live beside the proxy. */
export function envoyCaps(words: Pick<AgentWords, 'envoyConnections' | 'envoyHeap'>): EnvoyCaps {
  const {
    envoyConnections = String(DEFAULT_CONNECTIONS),
    envoyHeap = String(Math.floor(totalmem() / 2 / MIB)),
  } = words;
  const [maxConnections, heapMib] = [Number(envoyConnections), Number(envoyHeap)];
  if (!Number.isInteger(maxConnections) || maxConnections < 1) {
    throw new Error(`--envoy-connections ${envoyConnections}: expected a number of connections from 1`);
  }
  if (!Number.isInteger(heapMib) || heapMib < 64) {
    throw new Error(`--envoy-heap ${envoyHeap}: expected a number of MiB from 64`);
  }
  return { maxConnections, maxHeapBytes: heapMib * MIB };
}

function workloadPrefix(word: string): string {
  const problem = `--workload-cidr ${word}: expected a prefix of addresses, 10.0.1.0/24 say`;
  if (!/\/[1-9]\d*$/.test(word)) throw new Error(problem);
  try {
    const { address, length } = ipPrefix(word);
    return `${address}/${length}`;
  } catch (error) {
    throw new Error(problem, { cause: error });
  }
}

function denyAction(word: string): DenyAction {
  if (word !== 'drop' && word !== 'reset') throw new Error(`--deny-action ${word}: expected drop or reset`);
  return word;
}

function accelerationChoice(word: string): AccelerationChoice {
  if (word !== 'auto' && word !== 'on' && word !== 'off')
    throw new Error(`--accelerate ${word}: expected auto, on or off`);
  return word;
}

function concurrency(word: string | undefined): number {
  if (word === undefined) return availableParallelism();
  const count = Number(word);
  if (!Number.isInteger(count) || count < 1 || count > 256) {
    throw new Error(`--envoy-concurrency ${word}: expected a number of threads from 1 to 256`);
  }
  return count;
}

function portRange(word: string): { first: number; last: number } {
  const [, first, last] = /^(\d{1,5})-(\d{1,5})$/.exec(word) ?? [];
  const range = { first: Number(first), last: Number(last) };
  if (!(range.first >= 1024 && range.last <= 65535 && range.first <= range.last)) {
    throw new Error(`--proxy-ports ${word}: expected FIRST-LAST within 1024-65535`);
  }
  return range;
}
