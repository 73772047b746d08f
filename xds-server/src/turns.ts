import type { Clock } from './clock.ts';

/** Who gets turns. */
export interface TurnTaker {
  readonly takeTurn: () => void;
}

/** Lets many streams write without keeping the event loop from reading. */
export interface Turns {
  /** Asks for a turn; asking again before it came changes nothing. */
  readonly request: (taker: TurnTaker) => void;
  /** Gives a turn that was asked for ahead of the others. */
  readonly now: (taker: TurnTaker) => void;
  readonly waiting: () => number;
}

/** One slice; what is left goes on after pending input was read. */
const sliceMs = 8;

export function createTurns(clock: Clock): Turns {
  const queue = new Set<TurnTaker>();
  let scheduled = false;

  function run(): void {
    const end = clock.nowMs() + sliceMs;
    try {
      for (const taker of queue) {
        queue.delete(taker);
        taker.takeTurn();
        if (clock.nowMs() >= end) break;
      }
    } finally {
      scheduled = queue.size > 0;
      if (scheduled) clock.soon(run);
    }
  }

  return {
    request: (taker) => {
      queue.add(taker);
      if (scheduled) return;
      scheduled = true;
      clock.soon(run);
    },
    now: (taker) => {
      if (queue.delete(taker)) taker.takeTurn();
    },
    waiting: () => queue.size,
  };
}
