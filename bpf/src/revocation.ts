import { resolve } from 'node:path';
import { loadObject } from './bpf-object.ts';
import { required } from './datapath-programs.ts';
import { type Codec, kernelMap } from './kernel-map.ts';
import { u8 } from './layout.ts';
import { layouts } from './layouts.ts';
import { buildFolder, native } from './native.ts';
import { socketRecordBytes } from './sockets.ts';

/** Ends connections that have lost their permission without waiting for a packet of theirs. */
export interface Revocation {
  /** Gives how many sockets of the proxy were closed. */
  end(): number;
  close(): void;
}

/** The least that BPF_PROG_RUN takes for a packet. */
const noPacket = new Uint8Array(14);

/** Loads the program that judges all connections anew (programs/sweep.bpf.c), over maps that are in force. */
export function loadRevocation(options: Omit<Parameters<typeof loadObject>[0], 'path'>): Revocation {
  const { programs, maps } = loadObject({ ...options, path: resolve(buildFolder, 'sweep.bpf.o') }, ['sweep']);
  const sweep = required(programs, 'sweep');
  const notes = kernelMap(required(maps, 'revoked'), 'revoked', keyBytes, u8);
  return Object.freeze({
    end(): number {
      let closed = 0;
      for (;;) {
        const stopped = native.runProgram(sweep, noPacket, new Uint8Array(), 1).returned;
        const lost = [...notes.entries()];
        // Clients first: the proxy closes by itself what it opened for them.
        lost.sort(([, left], [, right]) => (left & proxyIsClient) - (right & proxyIsClient));
        closed += native.destroySockets(Buffer.concat(lost.flatMap(proxySockets)));
        notes.deleteBatch(lost.map(([key]) => key));
        if (stopped === 0) return closed;
      }
    },
    close(): void {
      for (const handle of [...Object.values(programs), ...Object.values(maps)]) native.close(handle);
    },
  });
}

/** `enum note` of programs/sweep.bpf.c. */
const proxyIsLow = 1;
const proxyIsHigh = 2;
const proxyIsClient = 4;

/** Keys as they are: to read and write a thousand addresses takes longer than to close their sockets. */
const keyBytes: Codec<Uint8Array> = {
  bytes: layouts.flowKey.bytes,
  read: (view, offset) => new Uint8Array(view.buffer, view.byteOffset + offset, layouts.flowKey.bytes),
  write: (view, offset, key) =>
    new Uint8Array(view.buffer, view.byteOffset + offset, layouts.flowKey.bytes).set(key),
};
/** Of the two addresses of a key, which begins as the record of a socket does: two addresses, two ports. */
const addressBytes = 16;

/** Where the proxy holds a connection: at one end, or where two connections share an entry at either. */
function proxySockets([key, note]: readonly [Uint8Array, number]): readonly Uint8Array[] {
  const asLow = key.subarray(0, socketRecordBytes);
  const [low, high] = [key.subarray(0, addressBytes), key.subarray(addressBytes, 2 * addressBytes)];
  const ports = key.subarray(2 * addressBytes, socketRecordBytes);
  const asHigh = [high, low, ports.subarray(2), ports.subarray(0, 2)];
  return [
    ...((note & proxyIsLow) === 0 ? [] : [asLow]),
    ...((note & proxyIsHigh) === 0 ? [] : [Buffer.concat(asHigh)]),
  ];
}
