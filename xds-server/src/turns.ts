import type { Clock } from './clock.ts';

/** Lets many streams write without keeping the event loop from reading. */
export interface Turns {
  /** Gives the callback a turn; asking again before it came changes nothing. */
  readonly request: (turn: () => void) => void;
  /** Takes a turn that was asked for ahead of the others. */
  readonly now: (turn: () => void) => void;
  readonly waiting: () => number;
}

/** One slice; what is left goes on after pending input was read. */
const sliceMs = 8;

export function createTurns(clock: Clock): Turns {
  const queue = new Set<() => void>();
  let scheduled = false;

  function run(): void {
    const end = clock.nowMs() + sliceMs;
    try {
      for (const turn of queue) {
        queue.delete(turn);
        turn();
        if (clock.nowMs() >= end) break;
      }
    } finally {
      scheduled = queue.size > 0;
      if (scheduled) clock.soon(run);
    }
  }

  return {
    request: (turn) => {
      queue.add(turn);
      if (scheduled) return;
      scheduled = true;
      clock.soon(run);
    },
    now: (turn) => {
      if (queue.delete(turn)) turn();
    },
    waiting: () => queue.size,
  };
}
