import { execFile } from 'node:child_process';
import type { Variant } from './scene.ts';

/** Runs wrk in the variant's client namespace and gives requests per second. Throws when a request failed. */
export function wrk(
  { enter, address, port, name }: Variant,
  connections: number,
  seconds: number,
): Promise<number> {
  const [program, ...words] = enter;
  const load = [
    'wrk',
    '-t1',
    `-c${connections}`,
    `-d${seconds}s`,
    `http://${address}:${port}/v1/request-landing`,
  ];
  return new Promise((resolve, reject) => {
    execFile(program, [...words, ...load], (error, stdout) => {
      const rate = /Requests\/sec:\s+([\d.]+)/.exec(stdout)?.[1];
      const failed = /Non-2xx or 3xx responses|Socket errors/.exec(stdout);
      if (error !== null || rate === undefined || failed !== null)
        reject(new Error(`${name}: ${error?.message ?? stdout}`));
      else resolve(Number(rate));
    });
  });
}
