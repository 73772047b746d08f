import type { Clock } from '@weir/xds-server';

/** A clock whose time passes when the test says so. */
export interface ManualClock extends Clock {
  /** Runs what is due now, and what that makes due, without letting time pass. */
  readonly settle: () => void;
  readonly pass: (ms: number) => void;
}

export function manualClock(): ManualClock {
  let now = 0;
  let soon: (() => void)[] = [];
  const timers = new Set<{ readonly at: number; readonly run: () => void }>();

  function settle(): void {
    while (soon.length > 0) {
      const due = soon;
      soon = [];
      for (const run of due) run();
    }
  }

  return {
    nowMs: () => now,
    soon: (run) => {
      soon.push(run);
    },
    after: (delayMs, run) => {
      const timer = { at: now + delayMs, run };
      timers.add(timer);
      return () => timers.delete(timer);
    },
    settle,
    pass: (ms) => {
      const end = now + ms;
      settle();
      for (;;) {
        const [next] = [...timers].filter(({ at }) => at <= end).sort((a, b) => a.at - b.at);
        if (next === undefined) break;
        timers.delete(next);
        now = Math.max(now, next.at);
        next.run();
        settle();
      }
      now = end;
    },
  };
}
