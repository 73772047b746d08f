import { readFileSync } from 'node:fs';
import { listeningPorts } from '@weir/bpf';
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

/** Whether anybody listens on the TCP port, on any address, in the current network namespace. */
export function isListenedOn(port: number): boolean {
  return listeningPorts(4).has(port) || listeningPorts(6).has(port);
}
