import { resolve } from 'node:path';
import { loadObject } from './bpf-object.ts';
import type { Connection } from './datapath-maps.ts';
import { kernelMap } from './kernel-map.ts';
import { u32 } from './layout.ts';
import { codes, layouts } from './layouts.ts';
import { buildFolder, type FdHandle, native } from './native.ts';
import { destroySockets, type SocketEnds } from './sockets.ts';

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
  const { sweep } = programs as { sweep: FdHandle };
  const { revoked } = maps as { revoked: FdHandle };
  const notes = kernelMap(revoked, 'revoked', layouts.flowKey, u32);
  return Object.freeze({
    end(): number {
      let closed = 0;
      for (;;) {
        const judged = native.runProgram(sweep, noPacket, new Uint8Array(), 1).returned;
        const lost = [...notes.entries()];
        closed += destroySockets(lost.map(([key, flags]) => proxySocket(key, flags)));
        notes.deleteBatch(lost.map(([key]) => key));
        if (judged === 0 && lost.length === 0) return closed;
      }
    },
    close(): void {
      for (const handle of [...Object.values(programs), ...Object.values(maps)]) native.close(handle);
    },
  });
}

/** The proxy's end: that of the server towards a client, that of the client towards a server. */
function proxySocket(key: FlowKey, flags: number): SocketEnds {
  const low = { address: key.low, port: key.low_port };
  const high = { address: key.high, port: key.high_port };
  const sourceIsLow = (flags & codes.flow.sourceIsLow) !== 0;
  const isLeg = (flags & codes.flow.leg) !== 0;
  return sourceIsLow === isLeg ? { local: low, remote: high } : { local: high, remote: low };
}

type FlowKey = {
  readonly low: Connection['source']['address'];
  readonly high: Connection['source']['address'];
  readonly low_port: number;
  readonly high_port: number;
};
