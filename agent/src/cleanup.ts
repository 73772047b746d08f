import { existsSync, rmSync } from 'node:fs';
import { ifindex as asIfindex, openDatapath, watchProcess } from '@weir/bpf';
import { removeRouting } from '@weir/redirect';
import type { Status } from './api/api-types.ts';
import { controlClient } from './api/control-client.ts';
import { acceptLocal } from './network/accept-local.ts';
import { ensureBpffs } from './network/bpffs.ts';
import { listLinks } from './network/links.ts';
import { runIp } from './network/run-ip.ts';
import { type AgentOptions, socketPaths } from './options.ts';
import { envoyOf } from './proxy/envoy.ts';
import { createStateStore } from './state/state-store.ts';
import { processStore } from './state/stored.ts';

const STOP_MS = 10_000;

/**
 * Removes everything that agents of the instance left in this network namespace and on this machine, and
 * gives the names of what was there. Safe to repeat. Throws when an agent runs, unless `force` stops it.
 */
export async function cleanUp(options: AgentOptions, force: boolean): Promise<readonly string[]> {
  const { instance, runDirectory, stateDirectory } = options;
  const removed: string[] = [];
  if (await stopAgent(socketPaths(runDirectory).control, force)) removed.push('agent');
  if (existsSync(stateDirectory)) {
    const store = createStateStore(stateDirectory);
    if (processStore(store).load() !== null) removed.push('Envoy');
    await envoyOf(options, '', store, () => undefined).stop(STOP_MS);
  }
  await ensureBpffs(options.bpffs);
  const datapath = openDatapath({ instance: instance.name, marks: instance.marks, bpffs: options.bpffs });
  if (datapath.adopted) removed.push('BPF programs and maps');
  const workloadLinks = new Set(
    datapath.attached().flatMap(({ ifindex, role }) => (role === 'workload' ? [ifindex] : [])),
  );
  for (const { ifindex, name } of await listLinks(runIp))
    if (workloadLinks.has(asIfindex(ifindex))) acceptLocal(name, false);
  datapath.remove();
  await removeRouting(instance, runIp);
  for (const directory of [runDirectory, stateDirectory]) {
    if (!existsSync(directory)) continue;
    rmSync(directory, { recursive: true });
    removed.push(directory);
  }
  return removed;
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
