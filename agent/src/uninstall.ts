import { existsSync, rmdirSync, rmSync } from 'node:fs';
import { basename, dirname } from 'node:path';
import { removeDatapath, watchProcess } from '@weir/bpf';
import { removeRouting } from '@weir/redirect';
import type { Status } from './api/api-types.ts';
import { controlClient } from './api/control-client.ts';
import { acceptLocal } from './network/accept-local.ts';
import { restoreEarlyDemux } from './network/early-demux.ts';
import { listLinks } from './network/links.ts';
import { runIp, runTc } from './network/run-ip.ts';
import { type AgentOptions, socketPaths } from './options.ts';
import { envoyOf } from './proxy/envoy.ts';
import { createStateStore } from './state/state-store.ts';
import { processStore } from './state/stored.ts';

const STOP_MS = 10_000;

/**
 * Removes everything that agents of the instance left in this network namespace and on this machine, and
 * gives the names of what was there. Safe to repeat. Throws when an agent runs, unless `force` stops it.
 */
export async function uninstall(options: AgentOptions, force: boolean): Promise<readonly string[]> {
  const { instance, runDirectory, stateDirectory } = options;
  const removed: string[] = [];
  if (await stopAgent(socketPaths(runDirectory).control, force)) removed.push('agent');
  if (existsSync(stateDirectory)) {
    const store = createStateStore(stateDirectory);
    if (processStore(store).load() !== null) removed.push('Envoy');
    await envoyOf(options, '', store, () => undefined).stop(STOP_MS);
    restoreEarlyDemux(store);
  }
  const detached = removeDatapath({ bpffs: options.bpffs, instance: instance.name });
  if (detached !== undefined) removed.push('BPF programs and maps');
  const links = new Map((await listLinks(runIp)).map(({ ifindex, name }) => [ifindex, name]));
  for (const { ifindex, role } of detached ?? []) {
    const name = links.get(ifindex);
    if (name === undefined) continue;
    if (role === 'workload') acceptLocal(name, false);
    await removeEmptyClsact(name);
  }
  await removeRouting(instance, runIp);
  for (const directory of [runDirectory, stateDirectory]) {
    if (!existsSync(directory)) continue;
    rmSync(directory, { recursive: true });
    removed.push(directory);
    removeEmpty(dirname(directory));
  }
  return removed;
}

/** The qdisc that carried the programs, unless it carries somebody else's. */
async function removeEmptyClsact(link: string): Promise<void> {
  const filters = await Promise.all(
    ['ingress', 'egress'].map((hook) => runTc('filter', 'show', 'dev', link, hook)),
  );
  if (filters.join('').trim() === '') await runTc('qdisc', 'del', 'dev', link, 'clsact');
}

/** Removes the folder of all instances when this was the last one; where it is a mount, it stays. */
function removeEmpty(directory: string): void {
  if (basename(directory) !== 'weir') return;
  try {
    rmdirSync(directory);
  } catch (error) {
    const code = error instanceof Error && 'code' in error ? error.code : undefined;
    if (code !== 'ENOTEMPTY' && code !== 'EBUSY' && code !== 'ENOENT') throw error;
  }
}

async function stopAgent(socketPath: string, force: boolean): Promise<boolean> {
  const status = await runningAgent(socketPath);
  if (status === undefined) return false;
  if (!force)
    throw new Error(`an agent of the instance is running (pid ${status.pid}): stop it first, or use --force`);
  const watch = watchProcess(status.pid);
  process.kill(status.pid, 'SIGTERM');
  await watch.exited;
  return true;
}

async function runningAgent(socketPath: string): Promise<Status | undefined> {
  try {
    return (await controlClient(socketPath).call('GET', '/v1/status')) as Status;
  } catch {
    return undefined;
  }
}
