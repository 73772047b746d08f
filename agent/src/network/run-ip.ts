import { execFile } from 'node:child_process';

/** A failed command of iproute2: what was run and what it said. */
export class IpError extends Error {
  override readonly name = 'IpError';
}

/** Runs `ip` with these words and gives its standard output. */
export type RunIp = (...words: readonly string[]) => Promise<string>;

/** Runs iproute2's `ip` in the current network namespace; resolves with its standard output. */
export function runIp(...words: readonly string[]): Promise<string> {
  return run('ip', words);
}

/** Runs iproute2's `tc` likewise. */
export function runTc(...words: readonly string[]): Promise<string> {
  return run('tc', words);
}

function run(program: 'ip' | 'tc', words: readonly string[]): Promise<string> {
  return new Promise((resolve, reject) => {
    execFile(
      program,
      [...words],
      { maxBuffer: 64 * 1024 * 1024, timeout: 10_000 },
      (error, stdout, stderr) => {
        if (error === null) resolve(stdout);
        else reject(new IpError(`${program} ${words.join(' ')}: ${stderr.trim() || error.message}`));
      },
    );
  });
}
