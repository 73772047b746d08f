import type { Identity } from '../types/identity.ts';
import type { Direction, DirectionPolicy } from '../types/subject-policy.ts';
import { type CompileParts, type Contribution, compileTable } from './compile-table.ts';
import type { Selector, SelectorUser } from './selector-cache.ts';
import type { SetHandle } from './set-registry.ts';
import type { CompiledTable } from './table-registry.ts';
import { forEachBit, hasBit, noWords, type Words, withBit, withoutBit } from './words.ts';

/** Ordinals, ascending, of the selectors in `DirectionRules.own` that select an identity. */
type Path = readonly number[];

/** Identities whom exactly the same selectors select: they share one table, which may be that of any peer. A value. */
export interface PeerGroup {
  readonly path: Path;
  readonly table: CompiledTable;
  readonly members: Words;
}

/** A direction policy as compiled. A value; equal parts are shared between versions. */
export interface CompiledDirection {
  readonly any: CompiledTable;
  readonly groups: readonly PeerGroup[];
}

/** What rules say about one direction of a subject, where it is enforced. */
export interface DirectionRules {
  readonly any: readonly Contribution[];
  readonly own: readonly { readonly selector: Selector; readonly contributions: readonly Contribution[] }[];
  readonly ordinals: ReadonlyMap<Selector, number>;
}

/** Compiles a direction afresh. `capacity` is one more than the highest identity index. */
export function compileDirection(
  rules: DirectionRules,
  direction: Direction,
  parts: CompileParts,
  capacity: number,
): CompiledDirection {
  return {
    any: compileTable([], rules.any, direction, parts),
    groups: partition(rules, capacity).map(({ path, members }) => ({
      path,
      members,
      table: groupTable(rules, path, direction, parts),
    })),
  };
}

function groupTable(
  rules: DirectionRules,
  path: Path,
  direction: Direction,
  parts: CompileParts,
): CompiledTable {
  const own = path.flatMap((ordinal) => rules.own[ordinal]?.contributions ?? []);
  return compileTable(own, rules.any, direction, parts);
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

/** A direction after one identity moved, with its table before and after. */
export interface Move {
  readonly compiled: CompiledDirection;
  readonly before: CompiledTable;
  readonly after: CompiledTable;
  /** Groups came or went whose tables name L7 sets. */
  readonly setsChanged: boolean;
}

/** Puts one identity into the group where it belongs after it came to or left these selectors. */
export function moveIdentity(
  { any, groups: before }: CompiledDirection,
  rules: DirectionRules,
  index: number,
  flipped: readonly Selector[],
  direction: Direction,
  parts: CompileParts,
): Move | null {
  const oldAt = before.findIndex((group) => hasBit(group.members, index));
  const old = before[oldAt];
  const path = flippedPath(old?.path ?? [], flipped, rules);
  if (samePath(path, old?.path ?? [])) return null;
  const groups = before.slice();
  let setsChanged = false;
  if (old !== undefined) groups[oldAt] = { ...old, members: withoutBit(old.members, index) };
  let after = any;
  if (path.length > 0) {
    const at = groups.findIndex((group) => samePath(group.path, path));
    const group = groups[at];
    after = group?.table ?? groupTable(rules, path, direction, parts);
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
  return { compiled: { any, groups }, before: old?.table ?? any, after, setsChanged };
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

/** The table of one identity; below 0 is one that nobody knows. */
export function tableAt({ any, groups }: CompiledDirection, index: number): CompiledTable {
  if (index < 0) return any;
  return groups.find((group) => hasBit(group.members, index))?.table ?? any;
}

/** The L7 sets that a direction's tables name. */
export function setsOf({ any, groups }: CompiledDirection): ReadonlySet<SetHandle> {
  const found = new Set<SetHandle>(any.sets);
  for (const { table } of groups) for (const handle of table.sets) found.add(handle);
  return found;
}

/** A compiled direction as a value for others; `numbers` gives identities by their index. */
export function createDirectionPolicy(
  name: Pick<DirectionPolicy, 'id' | 'direction' | 'sets'>,
  { any, groups }: CompiledDirection,
  numbers: readonly Identity[],
): DirectionPolicy {
  return Object.freeze({
    ...name,
    any,
    forEachPeer(visit: (peer: Identity, table: CompiledTable) => void): void {
      for (const { table, members } of groups) {
        if (table === any) continue;
        forEachBit(members, (index) => {
          const identity = numbers[index];
          if (identity !== undefined) visit(identity, table);
        });
      }
    },
    tableOf: (peer: Identity): CompiledTable => tableAt({ any, groups }, numbers.indexOf(peer)),
  });
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
