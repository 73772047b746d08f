import { execFile } from 'node:child_process';
import { readFileSync } from 'node:fs';
import type { Variant } from './scene.ts';

/** What to send: `kept` connections, a `fresh` one for each request, or few and large `bulk` answers. */
export type Load = 'kept' | 'fresh' | 'bulk';

/** What a second or more of a load came to. */
export interface Measurement {
  readonly requestsPerSecond: number;
  readonly p50Ms: number;
  readonly p99Ms: number;
  readonly gigabitsPerSecond: number;
  /** Time of all CPUs of the machine that were busy, for each request. */
  readonly cpuUsPerRequest: number;
}

const words: Readonly<
  Record<Load, { readonly connections: number; readonly path: string; readonly more: readonly string[] }>
> = {
  kept: { connections: 16, path: '/v1/request-landing', more: [] },
  fresh: { connections: 16, path: '/v1/request-landing', more: ['-H', 'Connection: close'] },
  bulk: { connections: 4, path: '/v1/bulk', more: [] },
};
/** USER_HZ of every Linux that runs Envoy: /proc/stat counts in these. */
const jiffiesPerSecond = 100;

/** Runs wrk in the variant's client namespace. Throws when a request failed. */
export function wrk(
  { enter, address, port, name }: Variant,
  load: Load,
  seconds: number,
): Promise<Measurement> {
  const [program, ...into] = enter;
  const { connections, path, more } = words[load];
  const line = [
    'wrk',
    '-t1',
    `-c${connections}`,
    `-d${seconds}s`,
    '--latency',
    ...more,
    `http://${address}:${port}${path}`,
  ];
  const before = busyJiffies();
  return new Promise((resolve, reject) => {
    execFile(program, [...into, ...line], (error, stdout) => {
      const cpuUs = ((busyJiffies() - before) / jiffiesPerSecond) * 1e6;
      const rate = Number(/Requests\/sec:\s+([\d.]+)/.exec(stdout)?.[1]);
      const failed = /Non-2xx or 3xx responses|Socket errors: connect [1-9]/.exec(stdout);
      if (error !== null || !(rate > 0) || failed !== null)
        return reject(new Error(`${name}, ${load}: ${error?.message ?? stdout}`));
      resolve({
        requestsPerSecond: rate,
        p50Ms: milliseconds(stdout, '50%'),
        p99Ms: milliseconds(stdout, '99%'),
        gigabitsPerSecond: (bytes(stdout) * 8) / 1e9,
        cpuUsPerRequest: cpuUs / Number(/(\d+) requests in/.exec(stdout)?.[1]),
      });
    });
  });
}

function milliseconds(output: string, quantile: string): number {
  const [, value, unit = 'ms'] = new RegExp(`${quantile}\\s+([\\d.]+)(us|ms|s)`).exec(output) ?? [];
  return Number(value) * ({ us: 0.001, ms: 1, s: 1000 }[unit] ?? Number.NaN);
}

function bytes(output: string): number {
  const [, value, unit = ''] = /Transfer\/sec:\s+([\d.]+)([KMG]?)B/.exec(output) ?? [];
  return Number(value) * ({ '': 1, K: 1024, M: 1024 ** 2, G: 1024 ** 3 }[unit] ?? Number.NaN);
}

function busyJiffies(): number {
  const [user = 0, nice = 0, system = 0, , , irq = 0, softirq = 0] = readFileSync('/proc/stat', 'utf8')
    .split('\n', 1)[0]!
    .trim()
    .split(/\s+/)
    .slice(1)
    .map(Number);
  return user + nice + system + irq + softirq;
}
