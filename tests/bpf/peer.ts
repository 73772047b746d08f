// Sockets in a namespace of the lab: a child process that does what it is told, one command at a time.
import { spawn } from 'node:child_process';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { namespacePath, type PlaceName } from './lab.ts';

type Answer = { ok: unknown } | { error: string };

/** Results are values; what the kernel refused is its errno name, e.g. `ETIMEDOUT`. */
export interface Peer {
  listen(name: string, port: number, options?: ListenOptions): Promise<string>;
  connect(
    name: string,
    host: string,
    port: number,
    options?: { timeout?: number; source_port?: number },
  ): Promise<string>;
  send(name: string, data: string): Promise<string>;
  receive(name: string, timeout?: number): Promise<string>;
  shut(name: string): Promise<string>;
  ask(fields: Readonly<Record<string, unknown>>): Promise<string>;
  close(): Promise<void>;
}

export interface ListenOptions {
  readonly host?: string;
  readonly mark?: number;
  readonly transparent?: boolean;
  readonly proxy?: boolean;
  /** Source port of the proxy's legs; default any. */
  readonly leg_port?: number;
}

export function openPeer(lab: string, place: PlaceName): Peer {
  const child = spawn(
    'nsenter',
    [`--net=${namespacePath(lab, place)}`, 'python3', join(import.meta.dirname, 'peer.py')],
    { stdio: ['pipe', 'pipe', 'inherit'] },
  );
  const waiting: ((answer: Answer) => void)[] = [];
  createInterface({ input: child.stdout }).on('line', (line) =>
    waiting.shift()?.(JSON.parse(line) as Answer),
  );
  const exited = new Promise<void>((done) => child.once('exit', () => done()));
  const ask = async (fields: Readonly<Record<string, unknown>>): Promise<string> => {
    const answer = await new Promise<Answer>((resolve) => {
      waiting.push(resolve);
      child.stdin.write(`${JSON.stringify(fields)}\n`);
    });
    return 'ok' in answer ? String(answer.ok) : answer.error;
  };
  return {
    ask,
    listen: (name, port, options = {}) => ask({ op: 'listen', name, port, ...options }),
    connect: (name, host, port, options = {}) => ask({ op: 'connect', name, host, port, ...options }),
    send: (name, data) => ask({ op: 'send', name, data }),
    receive: (name, timeout = 2) => ask({ op: 'receive', name, timeout }),
    shut: (name) => ask({ op: 'shutdown', name }),
    async close(): Promise<void> {
      child.stdin.end();
      await exited;
    },
  };
}

/** Peers of one test file. */
export interface Peers {
  open(...places: readonly PlaceName[]): void;
  peer(place: string): Peer;
  /** A name that no socket has yet. */
  fresh(): string;
  close(): Promise<void>;
}

/** No peer is open yet. */
export function peersIn(lab: string): Peers {
  const peers = new Map<string, Peer>();
  let number = 0;
  return {
    open(...places) {
      for (const place of places) peers.set(place, openPeer(lab, place));
    },
    peer: (place) => peers.get(place)!,
    fresh() {
      number += 1;
      return `c${number}`;
    },
    async close(): Promise<void> {
      await Promise.all([...peers.values()].map((peer) => peer.close()));
    },
  };
}
