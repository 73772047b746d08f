import { native } from './native.ts';

/** A watch on a process that need not be a child. */
export interface ProcessWatch {
  /** Resolves once the process has exited; never when the watch is closed first. */
  readonly exited: Promise<void>;
  /** Ends the watch and lets the event loop go. Closing twice is the same as once. */
  close(): void;
}

/**
 * Watches a process by pidfd (Linux 5.3), so that a reused pid cannot be mistaken for it. Throws BpfError with
 * code ESRCH when there is no such process; compare its start time afterwards to know that it is the one meant.
 */
export function watchProcess(pid: number): ProcessWatch {
  const { promise, resolve } = Promise.withResolvers<void>();
  const poller = native.watchProcess(pid, () => {
    native.close(poller);
    resolve();
  });
  return Object.freeze({ exited: promise, close: () => native.close(poller) });
}
