import { addressBytes } from './address.ts';
import type { FlowEnd } from './datapath-maps.ts';
import { native } from './native.ts';

/**
 * Closes a TCP socket of this network namespace by its ends (SOCK_DESTROY, Linux 4.5 with INET_DIAG_DESTROY): its
 * owner sees ECONNABORTED and the peer a RST. False when there is no such socket.
 */
export function destroySocket(local: FlowEnd, remote: FlowEnd): boolean {
  return native.destroySocket(
    addressBytes(local.address),
    local.port,
    addressBytes(remote.address),
    remote.port,
  );
}
