// Runs the calling file again in a network namespace of its own that nothing outlives.
import { spawnSync } from 'node:child_process';
import { endingWithUs } from '@weir/agent';
import { command, linkOf } from '../lab.ts';

const variable = 'WEIR_OWN_NAMESPACE';

/** Interfaces that exist there, for programs to be run at. */
export const interfaceCount = 16;

/** Returns inside of the namespace, with its interfaces; outside it never returns. */
export function enterOwnNamespace(
  file: string,
  words: readonly string[] = [],
): readonly ReturnType<typeof linkOf>[] {
  if (process.env[variable] === undefined) {
    const again = [process.execPath, ...process.execArgv, file, ...words];
    const [program, ...rest] = endingWithUs('unshare', '--net', ...again);
    const { status } = spawnSync(program, rest, {
      stdio: 'inherit',
      env: { ...process.env, [variable]: 'yes' },
    });
    process.exit(status ?? 1);
  }
  command('ip', 'link', 'set', 'lo', 'up');
  return Array.from({ length: interfaceCount / 2 }, (_, pair) => {
    command('ip', 'link', 'add', `a${pair}`, 'type', 'veth', 'peer', 'name', `b${pair}`);
    return [linkOf(`a${pair}`), linkOf(`b${pair}`)];
  }).flat();
}
