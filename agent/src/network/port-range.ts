import { readFileSync } from 'node:fs';
import type { PortRange } from '@weir/redirect';

/**
 * Refuses a range of proxy ports that reaches into the ephemeral range of the current network
 * namespace: while Envoy is down, somebody's outgoing connection could come to sit on such a port.
 */
export function checkPortRange({ first, last }: PortRange): void {
  const [low, high] = readFileSync('/proc/sys/net/ipv4/ip_local_port_range', 'utf8').split(/\s+/).map(Number);
  if (low === undefined || high === undefined || last < low || first > high) return;
  throw new Error(
    `the proxy ports ${first}-${last} overlap the ephemeral ports ${low}-${high} (net.ipv4.ip_local_port_range): choose others with --proxy-ports`,
  );
}

/** TCP_LISTEN (include/net/tcp_states.h). */
const LISTENS = '0A';

/** Whether anybody listens on the TCP port, on any address, in the current network namespace. */
export function isListenedOn(port: number): boolean {
  const suffix = `:${port.toString(16).toUpperCase().padStart(4, '0')}`;
  return ['/proc/net/tcp', '/proc/net/tcp6'].some((table) =>
    readFileSync(table, 'utf8')
      .split('\n')
      .some((line) => {
        const [, local, , state] = line.trim().split(/\s+/);
        return state === LISTENS && local?.endsWith(suffix) === true;
      }),
  );
}
