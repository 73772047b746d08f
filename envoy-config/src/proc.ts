import { readFileSync } from 'node:fs';

/** A process as it can be recognised after its pid may have been given to another. */
export interface ProcessIdentity {
  readonly pid: number;
  /** Field 22 of /proc/PID/stat, clock ticks since boot, as text. */
  readonly startTime: string;
  /** /proc/sys/kernel/random/boot_id of the boot that `startTime` counts from. */
  readonly bootId: string;
}

/** Who has this pid now, or null when nobody does (a zombie counts as nobody). */
export function processIdentity(pid: number): ProcessIdentity | null {
  const stat = read(`/proc/${pid}/stat`);
  const bootId = read('/proc/sys/kernel/random/boot_id')?.trim();
  if (stat === null || bootId === undefined) return null;
  // The second field is the name in parentheses and may hold anything (proc_pid_stat(5)).
  const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
  const [state] = fields;
  const startTime = fields[19];
  if (state === undefined || state === 'Z' || state === 'X' || startTime === undefined) return null;
  return { pid, startTime, bootId };
}

/** True while the very process that was recorded lives. */
export function isAlive(recorded: ProcessIdentity): boolean {
  const present = processIdentity(recorded.pid);
  return present?.startTime === recorded.startTime && present.bootId === recorded.bootId;
}

function read(path: string): string | null {
  try {
    return readFileSync(path, 'utf8');
  } catch {
    return null;
  }
}
