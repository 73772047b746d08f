// Event-driven sockets in a namespace of the lab: acceleration.py, one command at a time.
import { spawn } from 'node:child_process';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { namespacePath, type PlaceName } from './lab.ts';

/** Answers with values; what the kernel refused is thrown as an Error with the errno's name. */
export interface Puppet {
  ask(fields: Readonly<Record<string, unknown>>): Promise<unknown>;
  /** Resolves when a command that waits for a signal has got it. */
  signalled(): Promise<void>;
  close(): Promise<void>;
  kill(): Promise<void>;
}

export function openPuppet(lab: string, place: PlaceName): Puppet {
  const child = spawn(
    'nsenter',
    [`--net=${namespacePath(lab, place)}`, 'python3', join(import.meta.dirname, 'acceleration.py')],
    { stdio: ['pipe', 'pipe', 'inherit'] },
  );
  const waiting: ((answer: { ok: unknown } | { error: string }) => void)[] = [];
  const signals: (() => void)[] = [];
  createInterface({ input: child.stdout }).on('line', (line) => {
    const answer = JSON.parse(line);
    if ('signal' in answer) signals.shift()?.();
    else waiting.shift()?.(answer);
  });
  const exited = new Promise<void>((done) => child.once('exit', () => done()));
  return {
    async ask(fields): Promise<unknown> {
      const answer = await new Promise<{ ok: unknown } | { error: string }>((resolve) => {
        waiting.push(resolve);
        child.stdin.write(`${JSON.stringify(fields)}\n`);
      });
      if ('ok' in answer) return answer.ok;
      throw new Error(`${String(fields['op'])}: ${answer.error}`);
    },
    signalled: () => new Promise((resolve) => signals.push(resolve)),
    async close(): Promise<void> {
      child.stdin.end();
      await exited;
    },
    async kill(): Promise<void> {
      child.kill('SIGKILL');
      await exited;
    },
  };
}
