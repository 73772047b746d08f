import type { FlowEnd } from './datapath-maps.ts';

/**
 * Closes a TCP socket of this network namespace by its ends (SOCK_DESTROY, Linux 4.5 with INET_DIAG_DESTROY): its
 * owner sees ECONNABORTED and the peer a RST. False when there is no such socket.
 */
export function destroySocket(local: FlowEnd, remote: FlowEnd): boolean {
  throw new Error(`not there yet: ${local.address} ${remote.address}`);
}
