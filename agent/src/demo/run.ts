import { type ChildProcess, execFile } from 'node:child_process';

/** Runs a program to its end and gives its standard output. Throws with what it said on the other one. */
export function run(program: string, words: readonly string[]): Promise<string> {
  return new Promise((resolve, reject) => {
    execFile(
      program,
      [...words],
      { maxBuffer: 16 * 1024 * 1024, timeout: 60_000 },
      (error, stdout, stderr) => {
        if (error === null) resolve(stdout);
        else reject(new Error(`${program} ${words.join(' ')}: ${stderr.trim() || error.message}`));
      },
    );
  });
}

/** Resolves when the child has ended; at once when it has already. */
export function ended(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return Promise.resolve();
  return new Promise((resolve) => child.once('exit', () => resolve()));
}
