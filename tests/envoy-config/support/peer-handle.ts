import { type ChildProcess, spawn } from 'node:child_process';
import { entering } from './network.ts';
import type { PeerAnswer, PeerWork, Reply } from './peer-protocol.ts';

/** An HTTP/2 response. */
export interface CallAnswer {
  readonly headers: Readonly<Record<string, unknown>>;
  readonly trailers: Readonly<Record<string, unknown>>;
  readonly body: string;
}

/** A connection held by a peer. */
export interface PeerConnection {
  send(text: string, end?: boolean): Promise<void>;
  /** Takes what has come once it matches, or once the other end has closed. */
  receive(until: string, deadlineMs?: number): Promise<{ readonly text: string; readonly ended: boolean }>;
  close(): Promise<void>;
}

/** A process in a namespace that opens connections and servers there. */
export interface Peer {
  open(host: string, port: number): Promise<PeerConnection>;
  call(host: string, port: number, headers: Record<string, string>, body?: string): Promise<CallAnswer>;
  /** Sends HTTP/1 requests one after the other to an echo. */
  exchange(host: string, port: number, requests: readonly string[]): Promise<readonly Reply[]>;
  serveEcho(port: number): Promise<void>;
  serveScript(port: number): Promise<void>;
  recorded(): Promise<readonly string[]>;
  end(): Promise<void>;
}

/** Starts a peer in a namespace. */
export async function startPeer(namespace: string): Promise<Peer> {
  const program = new URL('peer.ts', import.meta.url).pathname;
  const [enter, ...words] = entering(namespace, process.execPath, program);
  const child = spawn(enter, words, { stdio: ['ignore', 'inherit', 'inherit', 'ipc'] });
  const waiting = new Map<number, (answer: PeerAnswer) => void>();
  let next = 1;
  const started = new Promise<void>((resolve, reject) => {
    waiting.set(0, () => resolve());
    child.once('exit', (code) => reject(new Error(`the peer ended with ${code}`)));
  });
  child.on('message', (answer: PeerAnswer) => {
    waiting.get(answer.id)?.(answer);
    waiting.delete(answer.id);
  });
  await started;

  function ask<Value>(work: PeerWork): Promise<Value> {
    const id = next++;
    return new Promise((resolve, reject) => {
      waiting.set(id, (answer) => {
        if (answer.kind === 'failed') reject(new Error(answer.message));
        else resolve(answer.value as Value);
      });
      child.send({ id, ...work });
    });
  }

  return {
    async open(host, port) {
      const connection = await ask<number>({ kind: 'open', host, port });
      return {
        send: (text, end = false) => ask({ kind: 'send', connection, text, end }),
        receive: (until, deadlineMs = 5_000) => ask({ kind: 'receive', connection, until, deadlineMs }),
        close: () => ask({ kind: 'close', connection }),
      };
    },
    call: (host, port, headers, body) => ask({ kind: 'call', host, port, headers, body: body ?? null }),
    exchange: (host, port, requests) => ask({ kind: 'exchange', host, port, requests }),
    serveEcho: (port) => ask({ kind: 'serve-echo', port }),
    serveScript: (port) => ask({ kind: 'serve-script', port }),
    recorded: () => ask({ kind: 'recorded' }),
    end: () => ended(child),
  };
}

function ended(child: ChildProcess): Promise<void> {
  return new Promise((resolve) => {
    child.removeAllListeners('exit');
    child.once('exit', () => resolve());
    child.disconnect();
  });
}
