import type { DirectionChange, DirectionPolicy, Identity, MovedPeer, PortTable } from '@weir/l7-policy';

/**
 * What leads from one version of a direction policy to another of the same rules. Where `steps`, oldest first, form a
 * chain between the two, nothing else is looked at.
 */
export function movesBetween(
  from: DirectionPolicy,
  to: DirectionPolicy,
  steps: readonly DirectionChange[],
): readonly MovedPeer[] {
  const start = steps.findIndex(({ before }) => before === from);
  const chain = start < 0 ? [] : steps.slice(start);
  const isWhole = chain.every(({ after }, at) => after === (chain[at + 1]?.before ?? to));
  return chain.length > 0 && isWhole ? sum(chain) : compare(from, to);
}

function sum(steps: readonly DirectionChange[]): readonly MovedPeer[] {
  const [only, ...others] = steps;
  if (only !== undefined && others.length === 0) return only.moved;
  const moved = new Map<Identity, MovedPeer>();
  for (const { peer, before, after } of steps.flatMap((step) => step.moved)) {
    const known = moved.get(peer);
    moved.set(peer, { peer, before: known === undefined ? before : known.before, after });
  }
  return [...moved.values()].filter(({ before, after }) => before?.id !== after?.id);
}

function compare(from: DirectionPolicy, to: DirectionPolicy): readonly MovedPeer[] {
  const left = new Map<Identity, PortTable>();
  from.forEachPeer((peer, table) => void left.set(peer, table));
  const moved: MovedPeer[] = [];
  to.forEachPeer((peer, after) => {
    const before = left.get(peer) ?? null;
    left.delete(peer);
    if (before?.id !== after.id) moved.push({ peer, before, after });
  });
  for (const [peer, before] of left) moved.push({ peer, before, after: null });
  return moved;
}
