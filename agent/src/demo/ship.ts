import { type ChildProcess, spawn } from 'node:child_process';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { ended } from './run.ts';

/** What a request came to. */
export type Outcome =
  | { readonly kind: 'answer'; readonly status: number; readonly body: string; readonly localPort: number }
  /** `TIMEOUT` when the packets vanish, `ECONNREFUSED`, `ECONNRESET`, … */
  | { readonly kind: 'failure'; readonly code: string };

/** What to ask for. */
export interface ShipRequest {
  readonly address: string;
  readonly port: number;
  readonly method: string;
  readonly path: string;
  readonly headers?: Readonly<Record<string, string>>;
  /** Requests that name the same connection share it; without a name each has its own. */
  readonly connection?: string;
  readonly timeoutMs?: number;
}

/** A client process inside a pod. */
export interface Ship {
  send(request: ShipRequest): Promise<Outcome>;
  close(): Promise<void>;
}

interface Reply {
  readonly id: number;
  readonly status?: number;
  readonly body?: string;
  readonly localPort?: number;
  readonly error?: string;
}

/** Dropped packets are taken for lost after this long. */
const TIMEOUT_MS = 700;

/** Starts a client; `enter` are the words that lead into its namespace. */
export function launchShip(enter: readonly [string, ...string[]]): Ship {
  const child = spawnNode(enter, 'http-client.ts', []);
  const waiting = new Map<number, (reply: Reply) => void>();
  let sent = 0;
  if (child.stdout === null || child.stdin === null) throw new Error('a ship has no pipes');
  createInterface({ input: child.stdout }).on('line', (line) => {
    const reply: Reply = JSON.parse(line);
    waiting.get(reply.id)?.(reply);
    waiting.delete(reply.id);
  });
  const { stdin } = child;
  return {
    send(request) {
      sent += 1;
      const id = sent;
      return new Promise((resolve) => {
        waiting.set(id, (reply) => resolve(outcomeOf(reply)));
        stdin.write(`${JSON.stringify({ id, timeoutMs: TIMEOUT_MS, ...request })}\n`);
      });
    },
    async close() {
      stdin.end();
      await ended(child);
    },
  };
}

/** A server process inside a pod. */
export interface Server {
  close(): Promise<void>;
  /** Lets this process end while the server goes on; only for one that was told to stay. */
  leave(): void;
}

/** Starts the demo's HTTP server and resolves when its ports are open; unless it stays, it ends with this process. */
export async function launchServer(
  enter: readonly [string, ...string[]],
  ports: readonly number[],
  stays = false,
): Promise<Server> {
  const child = spawnNode(enter, 'http-server.ts', [stays ? 'stay' : 'leave', ...ports.map(String)]);
  await new Promise<void>((resolve, reject) => {
    child.stdout?.once('data', () => resolve());
    child.once('exit', (code) =>
      reject(new Error(`the server ended with status ${code} before its ports were open`)),
    );
  });
  return {
    async close() {
      child.kill('SIGTERM');
      await ended(child);
    },
    leave() {
      child.stdin?.destroy();
      child.stdout?.destroy();
      child.unref();
    },
  };
}

function spawnNode(
  [program, ...words]: readonly [string, ...string[]],
  script: string,
  rest: readonly string[],
): ChildProcess {
  return spawn(program, [...words, process.execPath, join(import.meta.dirname, script), ...rest], {
    // A process that stays must not hold on to whoever reads our standard error.
    stdio: ['pipe', 'pipe', rest[0] === 'stay' ? 'ignore' : 'inherit'],
    // Ctrl-C in a terminal reaches the whole group: only who cleans up should hear it.
    detached: true,
  });
}

function outcomeOf({ status, body, localPort, error }: Reply): Outcome {
  if (status === undefined) return { kind: 'failure', code: error ?? 'UNKNOWN' };
  return { kind: 'answer', status, body: body ?? '', localPort: localPort ?? 0 };
}
