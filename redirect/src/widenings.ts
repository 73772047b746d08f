import type { L7Set, L7SetId, SlotId } from '@weir/l7-policy';

/**
 * All pairs (from, to) of different sets of one direction where `to` permits at least what `from` does,
 * because it holds all of its slots: a connection judged under `from` may go on under `to`.
 */
export function wideningsOf(sets: Iterable<L7Set>): readonly (readonly [from: L7SetId, to: L7SetId])[] {
  const all = [...sets];
  const bySlot = new Map<SlotId, L7Set[]>();
  for (const set of all) {
    for (const slot of set.slots) {
      const holders = bySlot.get(slot);
      if (holders === undefined) bySlot.set(slot, [set]);
      else holders.push(set);
    }
  }
  return all.flatMap((from) => {
    const [first, ...others] = from.slots;
    if (first === undefined) return [];
    const wider = (bySlot.get(first) ?? []).filter(
      (to) =>
        to.id !== from.id &&
        to.direction === from.direction &&
        others.every((slot) => to.slots.includes(slot)),
    );
    return wider.map((to) => [from.id, to.id] as const);
  });
}
