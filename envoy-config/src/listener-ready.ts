import { setTimeout as delay } from 'node:timers/promises';
import type { ProxyPort } from './settings.ts';

/** What to wait for, and where to look. */
export interface ListenerReadyOptions {
  readonly ports: readonly ProxyPort[];
  /** Listeners have a socket for IPv6 too. */
  readonly ipv6: boolean;
  /** Ports listened on in Envoy's network namespace, by version of IP. */
  readonly listening: (version: 4 | 6) => ReadonlySet<number>;
  readonly deadlineMs: number;
}

/** How often to look; there is nothing to be told by. */
const intervalMs = 1;

/**
 * Resolves when all ports are listened on. To be called after the ACK of listener and routes: an ACK says that Envoy
 * took the configuration, not that the socket listens. Once the socket listens, the kernel keeps connections until a
 * worker takes them.
 * @throws Error that names the ports still missing at the deadline.
 */
export async function listenersReady(options: ListenerReadyOptions): Promise<void> {
  const { ports, ipv6, listening, deadlineMs } = options;
  const deadline = performance.now() + deadlineMs;
  for (;;) {
    const tables = ipv6 ? [listening(4), listening(6)] : [listening(4)];
    const missing = ports.filter((port) => !tables.every((table) => table.has(port)));
    if (missing.length === 0) return;
    if (performance.now() >= deadline)
      throw new Error(`Envoy does not listen on ${missing.join(', ')} after ${deadlineMs} ms`);
    await delay(intervalMs);
  }
}
