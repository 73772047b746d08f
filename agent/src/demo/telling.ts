import type { Flow } from '../flows/flow.ts';

/** Throws when a line of a story does not come true. */
export function expect(holds: boolean, what: string): void {
  if (!holds) throw new Error(`the story went wrong: expected that ${what}`);
}

/** The first flow of each kind, oldest first. */
export function firstOfEach(flows: readonly Flow[], kindOf: (flow: Flow) => string): readonly Flow[] {
  const first = new Map(flows.toReversed().map((flow) => [kindOf(flow), flow]));
  return [...first.values()].sort((a, b) => a.sequence - b.sequence);
}
