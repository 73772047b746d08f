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

/** Identities whom exactly the same grants select: they share one table. A value. */
export interface PeerGroup {
  readonly table: PortTable;
  readonly members: Words;
}

/** One direction of a subject's policy as compiled. A value; equal parts are shared between versions. */
export interface DirectionPolicy {
  readonly enforced: boolean;
  readonly anyTable: PortTable;
  /** By the ordinals of the selectors that select the members, joined by commas. */
  readonly groups: ReadonlyMap<string, PeerGroup>;
}

export const openDirection: DirectionPolicy = Object.freeze({
  enforced: false,
  anyTable: emptyTable,
  groups: new Map<string, PeerGroup>(),
});

/** What rules say about one direction of one subject. */
export interface DirectionRules {
  readonly enforced: boolean;
  readonly any: readonly Contribution[];
  readonly own: readonly { readonly selector: Selector; readonly contributions: readonly Contribution[] }[];
}

/** Compiles a direction afresh. `capacity` is one more than the highest identity index. */
export function compileDirection(
  rules: DirectionRules,
  direction: Direction,
  sets: SetRegistry,
  capacity: number,
): DirectionPolicy {
  if (!rules.enforced) return openDirection;
  const anyTable = compileAnyTable(rules.any, direction, sets);
  const groups = new Map<string, PeerGroup>();
  for (const { path, members } of partition(rules, capacity)) {
    const table = groupTable(rules, path, direction, sets);
    if (table.codes.length > 0) groups.set(path.join(','), { table, members });
  }
  return { enforced: true, anyTable, groups };
}

function groupTable(
  rules: DirectionRules,
  path: readonly number[],
  direction: Direction,
  sets: SetRegistry,
): PortTable {
  const own = path.flatMap((ordinal) => rules.own[ordinal]?.contributions ?? []);
  return compileTable(own, rules.any, direction, sets);
}

/**
 * Splits the identities by which selectors select them: each selector in turn moves its members on, along a tree
 * whose paths are lists of selectors. Costs one step per member of each selector.
 */
function partition(rules: DirectionRules, capacity: number): { path: readonly number[]; members: Words }[] {
  const position = new Int32Array(capacity);
  const paths: (readonly number[])[] = [[]];
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
  readonly index: number;
  readonly before: PortTable;
  readonly after: PortTable;
}

/** Puts one identity into the group where the selectors have it now. null: it is there already. */
export function moveIdentity(
  policy: DirectionPolicy,
  rules: DirectionRules,
  index: number,
  direction: Direction,
  sets: SetRegistry,
): Move | null {
  const path: number[] = [];
  for (let ordinal = 0; ordinal < rules.own.length; ordinal++) {
    const words = rules.own[ordinal]?.selector.members.words;
    if (words !== undefined && hasBit(words, index)) path.push(ordinal);
  }
  const signature = path.join(',');
  const old = groupOf(policy, index);
  if ((old?.[0] ?? '') === signature) return null;
  const groups = new Map(policy.groups);
  if (old !== null) {
    const members = withoutBit(old[1].members, index);
    if (members.length === 0) groups.delete(old[0]);
    else groups.set(old[0], { table: old[1].table, members });
  }
  let after = emptyTable;
  if (path.length > 0) {
    const group = groups.get(signature);
    after = group?.table ?? groupTable(rules, path, direction, sets);
    if (after.codes.length > 0) {
      groups.set(signature, { table: after, members: withBit(group?.members ?? noWords, index) });
    }
  }
  return { policy: { ...policy, groups }, index, before: old?.[1].table ?? emptyTable, after };
}

function groupOf(policy: DirectionPolicy, index: number): readonly [string, PeerGroup] | null {
  for (const entry of policy.groups) if (hasBit(entry[1].members, index)) return entry;
  return null;
}

/** The table of one identity; empty when only the table of any peer concerns it. */
export function tableOf(policy: DirectionPolicy, index: number): PortTable {
  return groupOf(policy, index)?.[1].table ?? emptyTable;
}

/** The L7 sets that a policy's tables name. */
export function setsOf(policy: DirectionPolicy): ReadonlySet<SetHandle> {
  const found = new Set<SetHandle>(policy.anyTable.sets);
  for (const { table } of policy.groups.values()) for (const handle of table.sets) found.add(handle);
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
  const old = new Array<PortTable | undefined>(capacity);
  const seen: number[] = [];
  for (const [signature, group] of before.groups) {
    // A group that both versions share says nothing new.
    if (after.groups.get(signature) === group) continue;
    forEachBit(group.members, (index) => {
      old[index] = group.table;
      seen.push(index);
    });
  }
  for (const [signature, group] of after.groups) {
    if (before.groups.get(signature) === group) continue;
    forEachBit(group.members, (index) => {
      const table = old[index] ?? emptyTable;
      old[index] = undefined;
      if (!sameTable(table, group.table)) visit(index, table, group.table);
    });
  }
  for (const index of seen) {
    const table = old[index];
    if (table !== undefined) visit(index, table, emptyTable);
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
