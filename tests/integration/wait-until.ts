import { setTimeout as delay } from 'node:timers/promises';

/** Asks `look` until it gives a value, and fails after the deadline with what was seen last. */
export async function waitUntil<Value>(
  what: string,
  deadlineMs: number,
  look: () => Promise<{ readonly done: Value } | { readonly seen: unknown }>,
): Promise<Value> {
  const deadline = performance.now() + deadlineMs;
  for (;;) {
    const found = await look();
    if ('done' in found) return found.done;
    if (performance.now() > deadline) {
      throw new Error(
        `${what} did not come within ${deadlineMs} ms; seen last: ${JSON.stringify(found.seen)}`,
      );
    }
    await delay(5);
  }
}
