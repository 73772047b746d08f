import { spawn } from 'node:child_process';
import { entering } from '../../envoy-config/support/network.ts';
import type { Exchange, WireOrder } from './wire-peer.ts';

/** A process in a namespace that speaks Kafka frames. */
export interface WirePeer {
  serve(port: number): Promise<void>;
  /** Requests that came since the last call. */
  received(): Promise<readonly Buffer[]>;
  /** Answers the fetches that wait; gives their number. */
  release(): Promise<number>;
  /** Sends frames on a connection of its own and takes so many answers. */
  exchange(
    host: string,
    port: number,
    frames: readonly Uint8Array[],
    answers: number,
    pieces?: number,
    connection?: string,
  ): Promise<{ readonly answers: readonly Buffer[]; readonly ended: boolean }>;
  end(): Promise<void>;
}

/** Starts one. */
export async function startWirePeer(namespace: string): Promise<WirePeer> {
  const program = new URL('wire-peer.ts', import.meta.url).pathname;
  const [enter, ...words] = entering(namespace, process.execPath, program);
  const child = spawn(enter, words, {
    stdio: ['ignore', 'inherit', 'inherit', 'ipc'],
  });
  const exited = new Promise<void>((done) => child.once('exit', () => done()));
  const waiting = new Map<number, (answer: { readonly value?: unknown; readonly error?: string }) => void>();
  let next = 1;
  const started = new Promise<void>((resolve) => waiting.set(0, () => resolve()));
  child.on('message', (answer: { id: number; value?: unknown; error?: string }) => {
    waiting.get(answer.id)?.(answer);
    waiting.delete(answer.id);
  });
  await started;

  function ask<Value>(order: WireOrder): Promise<Value> {
    const id = next++;
    return new Promise((resolve, reject) => {
      waiting.set(id, ({ value, error }) =>
        error === undefined ? resolve(value as Value) : reject(new Error(error)),
      );
      child.send({ id, order });
    });
  }

  const bytes = (texts: readonly string[]) => texts.map((text) => Buffer.from(text, 'base64'));
  return {
    serve: (port) => ask({ kind: 'serve', port }),
    received: async () => bytes(await ask<readonly string[]>({ kind: 'received' })),
    release: () => ask({ kind: 'release' }),
    async exchange(host, port, frames, answers, pieces = 0, connection = '', end = false) {
      const texts = frames.map((frame) => Buffer.from(frame).toString('base64'));
      const result = await ask<Exchange>({
        kind: 'exchange',
        host,
        port,
        frames: texts,
        answers,
        pieces,
        connection,
        end,
      });
      return { answers: bytes(result.answers), ended: result.ended };
    },
    async end() {
      child.disconnect();
      await exited;
    },
  };
}
