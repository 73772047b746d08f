import type { Direction } from '../types/subject-policy.ts';
import {
  type Contribution,
  compileAnyTable,
  compileTable,
  emptyTable,
  type PortTable,
  sameTable,
} from './compile-table.ts';
import type { Selector, SelectorUser } from './selector-cache.ts';
import type { SetHandle, SetRegistry } from './set-registry.ts';
import { forEachBit, hasBit, noWords, type Words, withBit, withoutBit } from './words.ts';

/** Ordinals, ascending, of the selectors in `DirectionRules.own` that select an identity. */
type Path = readonly number[];

/** Identities whom exactly the same selectors select: they share one table, which may be empty. A value. */
export interface PeerGroup {
  readonly path: Path;
  readonly table: PortTable;
  readonly members: Words;
}

/** One direction of a subject's policy as compiled. A value; equal parts are shared between versions. */
export interface DirectionPolicy {
  readonly enforced: boolean;
  readonly anyTable: PortTable;
  readonly groups: readonly PeerGroup[];
}

export const openDirection: DirectionPolicy = Object.freeze({
  enforced: false,
  anyTable: emptyTable,
  groups: [],
});

/** What rules say about one direction of one subject. */
export interface DirectionRules {
  readonly enforced: boolean;
  readonly any: readonly Contribution[];
  readonly own: readonly { readonly selector: Selector; readonly contributions: readonly Contribution[] }[];
  readonly ordinals: ReadonlyMap<Selector, number>;
}

/** Compiles a direction afresh. `capacity` is one more than the highest identity index. */
export function compileDirection(
  rules: DirectionRules,
  direction: Direction,
  sets: SetRegistry,
  capacity: number,
): DirectionPolicy {
  if (!rules.enforced) return openDirection;
  return {
    enforced: true,
    anyTable: compileAnyTable(rules.any, direction, sets),
    groups: partition(rules, capacity).map(({ path, members }) => ({
      path,
      members,
      table: groupTable(rules, path, direction, sets),
    })),
  };
}

function groupTable(rules: DirectionRules, path: Path, direction: Direction, sets: SetRegistry): PortTable {
  const own = path.flatMap((ordinal) => rules.own[ordinal]?.contributions ?? []);
  return compileTable(own, rules.any, direction, sets);
}

/**
 * Splits the identities by which selectors select them: each selector in turn moves its members on, along a tree
 * whose paths are lists of selectors. Costs one step per member of each selector.
 */
function partition(rules: DirectionRules, capacity: number): { path: Path; members: Words }[] {
  const position = new Int32Array(capacity);
  const paths: Path[] = [[]];
  const touched: number[] = [];
  rules.own.forEach(({ selector }, ordinal) => {
    const moves = new Map<number, number>();
    forEachBit(selector.members.words, (index) => {
      const from = position[index] ?? 0;
      let to = moves.get(from);
      if (to === undefined) {
        to = paths.length;
        paths.push([...(paths[from] ?? []), ordinal]);
        moves.set(from, to);
      }
      if (from === 0) touched.push(index);
      position[index] = to;
    });
  });
  const lists: number[][] = paths.map(() => []);
  for (const index of touched) lists[position[index] ?? 0]?.push(index);
  return paths.flatMap((path, at) => {
    const list = lists[at];
    return list === undefined || list.length === 0 ? [] : [{ path, members: wordsOf(list) }];
  });
}

function wordsOf(indices: readonly number[]): Words {
  let highest = 0;
  for (const index of indices) if (index > highest) highest = index;
  const words = new Uint32Array((highest >>> 5) + 1);
  for (const index of indices) words[index >>> 5] = (words[index >>> 5] ?? 0) | (1 << (index & 31));
  return words;
}

/** A policy after one identity moved, with its table before and after. */
export interface Move {
  readonly policy: DirectionPolicy;
  readonly before: PortTable;
  readonly after: PortTable;
  /** Groups came or went whose tables name L7 sets. */
  readonly setsChanged: boolean;
}

/** Puts one identity into the group where it belongs after it came to or left these selectors. */
export function moveIdentity(
  policy: DirectionPolicy,
  rules: DirectionRules,
  index: number,
  flipped: readonly Selector[],
  direction: Direction,
  sets: SetRegistry,
): Move | null {
  const oldAt = policy.groups.findIndex((group) => hasBit(group.members, index));
  const old = policy.groups[oldAt];
  const path = flippedPath(old?.path ?? [], flipped, rules);
  if (samePath(path, old?.path ?? [])) return null;
  const groups = policy.groups.slice();
  let setsChanged = false;
  if (old !== undefined) groups[oldAt] = { ...old, members: withoutBit(old.members, index) };
  let after = emptyTable;
  if (path.length > 0) {
    const at = groups.findIndex((group) => samePath(group.path, path));
    const group = groups[at];
    after = group?.table ?? groupTable(rules, path, direction, sets);
    const next = { path, table: after, members: withBit(group?.members ?? noWords, index) };
    if (group === undefined) {
      groups.push(next);
      setsChanged = after.sets.length > 0;
    } else groups[at] = next;
  }
  if (old !== undefined && groups[oldAt]?.members.length === 0) {
    groups.splice(oldAt, 1);
    setsChanged ||= old.table.sets.length > 0;
  }
  const moved = { enforced: policy.enforced, anyTable: policy.anyTable, groups };
  return { policy: moved, before: old?.table ?? emptyTable, after, setsChanged };
}

function flippedPath(path: Path, flipped: readonly Selector[], rules: DirectionRules): Path {
  const result = path.slice();
  for (const selector of flipped) {
    const ordinal = rules.ordinals.get(selector);
    if (ordinal === undefined) continue;
    const at = result.indexOf(ordinal);
    if (at < 0) result.push(ordinal);
    else result.splice(at, 1);
  }
  return result.sort((a, b) => a - b);
}

function samePath(a: Path, b: Path): boolean {
  if (a.length !== b.length) return false;
  for (let i = a.length - 1; i >= 0; i--) if (a[i] !== b[i]) return false;
  return true;
}

/** The table of one identity; empty when only the table of any peer concerns it. */
export function tableOf(policy: DirectionPolicy, index: number): PortTable {
  return policy.groups.find((group) => hasBit(group.members, index))?.table ?? emptyTable;
}

/** The L7 sets that a policy's tables name. */
export function setsOf(policy: DirectionPolicy): ReadonlySet<SetHandle> {
  const found = new Set<SetHandle>(policy.anyTable.sets);
  for (const { table } of policy.groups) for (const handle of table.sets) found.add(handle);
  return found;
}

/** Calls back for each identity index whose table differs. -1 stands for any peer. */
export function diffDirections(
  before: DirectionPolicy,
  after: DirectionPolicy,
  capacity: number,
  visit: (index: number, before: PortTable, after: PortTable) => void,
): void {
  if (before === after) return;
  if (!sameTable(before.anyTable, after.anyTable)) visit(-1, before.anyTable, after.anyTable);
  const groupAt = new Int32Array(capacity);
  before.groups.forEach((group, at) => {
    forEachBit(group.members, (index) => {
      groupAt[index] = at + 1;
    });
  });
  for (const { members, table } of after.groups) {
    // Most members come from few groups: whether the tables differ is asked once for each.
    const differs = new Map<number, boolean>();
    forEachBit(members, (index) => {
      const at = groupAt[index] ?? 0;
      groupAt[index] = 0;
      const old = before.groups[at - 1]?.table ?? emptyTable;
      let different = differs.get(at);
      if (different === undefined) {
        different = !sameTable(old, table);
        differs.set(at, different);
      }
      if (different) visit(index, old, table);
    });
  }
  for (const { members, table } of before.groups) {
    if (table.codes.length === 0) continue;
    forEachBit(members, (index) => {
      if (groupAt[index] !== 0) visit(index, table, emptyTable);
    });
  }
}

/** Registers a user at the selectors of `after` and takes it from those of `before` that are gone. */
export function moveUser(
  user: SelectorUser,
  before: DirectionRules | null,
  after: DirectionRules | null,
): void {
  for (const { selector } of before?.own ?? []) selector.users.delete(user);
  for (const { selector } of after?.own ?? []) selector.users.add(user);
}
