import type { ProxyPort } from './settings.ts';

/** Where to look for the listening sockets. */
export interface ListenerReadyOptions {
  readonly ports: readonly ProxyPort[];
  /** The Envoy process, whose network namespace is looked at. */
  readonly pid: number;
  readonly deadlineMs: number;
}

/**
 * Resolves when all ports are listened on in the network namespace of `pid`. To be called after the ACK
 * of listener and routes: an ACK says that Envoy took the configuration, not that the socket listens.
 * @throws Error that names the ports still missing at the deadline.
 */
export async function listenersReady(_options: ListenerReadyOptions): Promise<void> {
  throw new Error('not built yet');
}
