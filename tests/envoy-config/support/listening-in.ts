import { readFileSync } from 'node:fs';

/** TCP_LISTEN (include/net/tcp_states.h). */
const listenState = '0A';

/** Ports listened on in the network namespace of a process, which need not be ours, by version of IP. */
export const listeningIn =
  (pid: number) =>
  (version: 4 | 6): ReadonlySet<number> => {
    const table = readFileSync(`/proc/${pid}/net/${version === 4 ? 'tcp' : 'tcp6'}`, 'utf8');
    const sockets = table.split('\n').map((line) => line.trim().split(/\s+/));
    return new Set(
      sockets.flatMap(([, local = '', , state]) =>
        state === listenState ? [Number.parseInt(local.slice(local.indexOf(':') + 1), 16)] : [],
      ),
    );
  };
