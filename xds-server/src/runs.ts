import type { Stored } from './stored.ts';

/** A part of a long list. */
export type Run = readonly Stored[];

const runItems = 128;
const known = new WeakMap<readonly Stored[], readonly Run[]>();

/** A list in runs. Where a list follows from another, what has not changed is the same run in both. */
export function runsOf(list: readonly Stored[]): readonly Run[] {
  const before = known.get(list);
  if (before !== undefined) return before;
  const runs: Run[] = [];
  for (let from = 0; from < list.length; from += runItems) runs.push(list.slice(from, from + runItems));
  known.set(list, runs);
  return runs;
}

/** Says that a list is another one but for these places, those of which it has more or less included. */
export function follows(list: readonly Stored[], before: readonly Stored[], places: Iterable<number>): void {
  const runs = runsOf(before).slice(0, Math.ceil(list.length / runItems));
  for (const run of new Set([...places].map((place) => Math.floor(place / runItems)))) {
    const from = run * runItems;
    if (from < list.length) runs[run] = list.slice(from, from + runItems);
  }
  known.set(list, runs);
}
