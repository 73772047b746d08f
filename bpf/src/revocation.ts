import { resolve } from 'node:path';
import { loadObject } from './bpf-object.ts';
import { required } from './datapath-programs.ts';
import { kernelMap } from './kernel-map.ts';
import { u8 } from './layout.ts';
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
  const notes = kernelMap(required(maps, 'revoked'), 'revoked', layouts.flowKey, u8);
  return Object.freeze({
    end(): number {
      let closed = 0;
      for (;;) {
        const stopped = native.runProgram(sweep, noPacket, new Uint8Array(), 1).returned;
        const lost = [...notes.entries()];
        // Clients first: the proxy closes by itself what it opened for them.
        lost.sort(([, left], [, right]) => (left & proxyIsClient) - (right & proxyIsClient));
        closed += destroySockets(lost.flatMap(proxySockets));
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

/** Where the proxy holds a connection: at one end, or where two connections share an entry at either. */
function proxySockets([{ low, low_port, high, high_port }, note]: readonly [
  FlowKey,
  number,
]): readonly SocketEnds[] {
  const ends = [
    { address: low, port: low_port },
    { address: high, port: high_port },
  ] as const;
  return [
    ...((note & proxyIsLow) === 0 ? [] : [{ local: ends[0], remote: ends[1] }]),
    ...((note & proxyIsHigh) === 0 ? [] : [{ local: ends[1], remote: ends[0] }]),
  ];
}

type FlowKey = ReturnType<typeof layouts.flowKey.read>;
