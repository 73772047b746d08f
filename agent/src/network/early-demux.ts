import { readFileSync, writeFileSync } from 'node:fs';
import type { StateStore } from '../state/state-store.ts';

const SYSCTL = '/proc/sys/net/ipv4/tcp_early_demux';
const NAME = 'early-demux';

/**
 * Stops the stack from looking for sockets before it routes (sysctl tcp_early_demux, of both families). It would find
 * the proxy's socket for a packet that netfilter has just translated and that is to be forwarded to a workload, and
 * ip_forward drops what has a socket (seen on 6.18): the packet must reach the workload's interface, where it is sent
 * round to the proxy. What stood there before is remembered.
 */
export function stopEarlyDemux(store: StateStore): void {
  if (readFileSync(SYSCTL, 'utf8').trim() === '0') return;
  store.write(NAME, true);
  writeFileSync(SYSCTL, '0');
}

/** Takes back what `stopEarlyDemux` did, if it did anything. */
export function restoreEarlyDemux(store: StateStore): void {
  if (store.read(NAME) === true) writeFileSync(SYSCTL, '1');
  store.remove(NAME);
}
