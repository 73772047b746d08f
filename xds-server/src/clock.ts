import { performance } from 'node:perf_hooks';

/** Time, passed in so that tests decide when it passes. */
export interface Clock {
  /** Milliseconds on a clock that never goes back. */
  readonly nowMs: () => number;
  /** Runs `callback` once after `delayMs`; the result cancels it. */
  readonly after: (delayMs: number, callback: () => void) => () => void;
  /** Runs `callback` soon, after input that is waiting already. */
  readonly soon: (callback: () => void) => void;
}

/** The machine's clock. Its timers do not keep the process alive. */
export const systemClock: Clock = Object.freeze({
  nowMs: () => performance.now(),
  after: (delayMs: number, callback: () => void) => {
    const timer = setTimeout(callback, delayMs);
    timer.unref();
    return () => clearTimeout(timer);
  },
  soon: (callback: () => void) => {
    setImmediate(callback);
  },
});
