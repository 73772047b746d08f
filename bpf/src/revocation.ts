import { resolve } from 'node:path';
import { loadObject } from './bpf-object.ts';
import { codecs } from './datapath-codecs.ts';
import { required } from './datapath-programs.ts';
import { kernelMap } from './kernel-map.ts';
import { layouts } from './layouts.ts';
import { buildFolder, native } from './native.ts';
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
  const sweep = required(programs, 'sweep');
  const notes = kernelMap(required(maps, 'revoked'), 'revoked', layouts.flowKey, codecs.present);
  return Object.freeze({
    end(): number {
      let closed = 0;
      for (;;) {
        const judged = native.runProgram(sweep, noPacket, new Uint8Array(), 1).returned;
        const lost = [...notes.entries()].map(([key]) => key);
        closed += destroySockets(lost.flatMap(proxySockets));
        notes.deleteBatch(lost);
        if (judged === 0 && lost.length === 0) return closed;
      }
    },
    close(): void {
      for (const handle of [...Object.values(programs), ...Object.values(maps)]) native.close(handle);
    },
  });
}

/**
 * Where the proxy may hold a connection: as the server towards its client, or as the client towards its server; when a
 * source port is used by both, as either.
 */
function proxySockets({ low, low_port, high, high_port }: FlowKey): readonly SocketEnds[] {
  const ends = [
    { address: low, port: low_port },
    { address: high, port: high_port },
  ] as const;
  return [
    { local: ends[0], remote: ends[1] },
    { local: ends[1], remote: ends[0] },
  ];
}

type FlowKey = ReturnType<typeof layouts.flowKey.read>;
