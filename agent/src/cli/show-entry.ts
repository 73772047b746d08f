import type { PolicyEntry } from '@weir/bpf';
import { protocolName } from '../flows/protocol-name.ts';

/** `peer 257, TCP 80`, `any peer, UDP 53-53`, `any peer, anything`. */
export function showEntry({ peer, ...key }: PolicyEntry): string {
  return `${showPeer(peer)}, ${showPorts(key)}`;
}

/** The peer of an entry. */
export function showPeer(peer: number): string {
  return peer === 0 ? 'any peer' : `peer ${peer}`;
}

/** The protocol and ports of an entry. */
export function showPorts({
  protocol,
  port,
  portPrefixLength,
}: Pick<PolicyEntry, 'protocol' | 'port' | 'portPrefixLength'>): string {
  if (protocol === 0) return 'anything';
  const last = port + 2 ** (16 - portPrefixLength) - 1;
  const ports = portPrefixLength === 0 ? 'any port' : last === port ? String(port) : `${port}-${last}`;
  return `${protocolName(protocol)} ${ports}`;
}

/** The verdict of an entry. */
export function showEntryVerdict(verdict: PolicyEntry['verdict']): string {
  return verdict.kind === 'l7' ? `L7 set ${verdict.set}` : verdict.kind;
}
