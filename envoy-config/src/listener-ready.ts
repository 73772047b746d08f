import { createReadStream } from 'node:fs';
import { createInterface } from 'node:readline';
import { setTimeout as delay } from 'node:timers/promises';
import type { ProxyPort } from './settings.ts';

/** Where to look for the listening sockets. */
export interface ListenerReadyOptions {
  readonly ports: readonly ProxyPort[];
  /** Listeners have a socket for IPv6 too. */
  readonly ipv6: boolean;
  /** The Envoy process, whose network namespace is looked at. */
  readonly pid: number;
  /** Ports listened on there, by version of IP. Default: what /proc says, which takes longer the more sockets there are. */
  readonly listening?: (version: 4 | 6) => ReadonlySet<number>;
  readonly deadlineMs: number;
}

/** How often to look; there is nothing to be told by. */
const intervalMs = 1;
/** TCP_LISTEN (include/net/tcp_states.h). */
const listenState = '0A';

/**
 * Resolves when all ports are listened on in the network namespace of `pid`. To be called after the ACK
 * of listener and routes: an ACK says that Envoy took the configuration, not that the socket listens.
 * Once the socket listens, the kernel keeps connections until a worker takes them.
 * @throws Error that names the ports still missing at the deadline.
 */
export async function listenersReady(options: ListenerReadyOptions): Promise<void> {
  const { ports, ipv6, pid, deadlineMs } = options;
  const look: (version: 4 | 6) => ReadonlySet<number> | Promise<ReadonlySet<number>> =
    options.listening ?? ((version) => listeningPorts(`/proc/${pid}/net/${version === 4 ? 'tcp' : 'tcp6'}`));
  const deadline = performance.now() + deadlineMs;
  for (;;) {
    const tables = await Promise.all(ipv6 ? [look(4), look(6)] : [look(4)]);
    const missing = ports.filter((port) => !tables.every((listening) => listening.has(port)));
    if (missing.length === 0) return;
    if (performance.now() >= deadline) {
      throw new Error(`Envoy (pid ${pid}) does not listen on ${missing.join(', ')} after ${deadlineMs} ms`);
    }
    await delay(intervalMs);
  }
}

/** Ports listened on by anybody in the namespace. The kernel lists listening sockets before all others. */
async function listeningPorts(table: string): Promise<ReadonlySet<number>> {
  const ports = new Set<number>();
  const file = createReadStream(table);
  const lines = createInterface({ input: file });
  try {
    let header = true;
    for await (const line of lines) {
      const [, local, , state] = line.trim().split(/\s+/);
      if (!header && state !== listenState) break;
      if (!header && local !== undefined) ports.add(Number.parseInt(local.slice(local.indexOf(':') + 1), 16));
      header = false;
    }
  } finally {
    lines.close();
    file.destroy();
  }
  return ports;
}
