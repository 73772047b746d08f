import { addressBytes } from './address.ts';
import type { FlowEnd } from './datapath-maps.ts';
import { native } from './native.ts';

/** A TCP socket of this network namespace by its ends. */
export interface SocketEnds {
  readonly local: FlowEnd;
  readonly remote: FlowEnd;
}

/** Of `struct ends` in native/machine.c: two addresses, two ports in network order. */
export const socketRecordBytes = 36;

/**
 * Closes connected TCP sockets of this network namespace (SOCK_DESTROY, Linux 4.5 with INET_DIAG_DESTROY): their owners
 * see ECONNABORTED and their peers a RST. Gives how many there were; those that are gone are passed over.
 */
export function destroySockets(sockets: readonly SocketEnds[]): number {
  const records = new Uint8Array(sockets.length * socketRecordBytes);
  const view = new DataView(records.buffer);
  sockets.forEach(({ local, remote }, index) => {
    const at = index * socketRecordBytes;
    records.set(addressBytes(local.address), at);
    records.set(addressBytes(remote.address), at + 16);
    view.setUint16(at + 32, local.port);
    view.setUint16(at + 34, remote.port);
  });
  return native.destroySockets(records);
}

/** TCP ports of this network namespace on which sockets of an IP version listen (sock_diag, Linux 3.3). */
export function listeningPorts(version: 4 | 6): ReadonlySet<number> {
  return new Set(native.listeningPorts(version));
}
