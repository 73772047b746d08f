import { writeFileSync } from 'node:fs';

/**
 * Lets the interface take in packets whose source is one of the node's own addresses (sysctl accept_local):
 * what the node sends to a workload comes in again there when a policy selects it for layer 7. An interface that
 * is gone is passed over.
 */
export function acceptLocal(interfaceName: string, accept: boolean): void {
  try {
    writeFileSync(`/proc/sys/net/ipv4/conf/${interfaceName}/accept_local`, accept ? '1' : '0');
  } catch (error) {
    if (!(error instanceof Error && 'code' in error && error.code === 'ENOENT')) throw error;
  }
}
