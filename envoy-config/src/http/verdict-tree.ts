import { type Encoded, written } from '../wire.ts';
import type { Condition, Pattern } from './condition.ts';
import {
  allOf,
  type Branch,
  firstOf,
  headerMatchesRegex,
  headerPasses,
  lookup,
  lookupEntry,
  matcherNode,
  type OnMatch,
} from './matcher.ts';
import type { EntryMemory, Memory } from './memory.ts';

/** What an allowed request leads to, by the id of its rule or the name of a group of rules. */
export type AllowLeaf = (rule: string) => OnMatch;

/** What a tree is made with. */
interface Making {
  readonly allow: AllowLeaf;
  readonly memory: Memory;
  /** Entries made before for the same `allow`; null when it may come out differently. */
  readonly entries: EntryMemory | null;
}

/** A combined regex past roughly 1,500 instructions falls off a cliff under hostile paths (measured). */
const combinedInstructions = 1_000;
/** Up to so many regexes of one place are tried one by one, each with its own rule id. */
const maxSingleRegexes = 4;

/**
 * The tree that finds a rule for a request in time that does not grow with the number of rules: by
 * method first, then exact paths, else literal prefixes, else what has neither; rules that name no method last.
 * (Method inside path took Envoy twice as long to load.) The result stands on `otherwise` where no rule
 * matches. Paths with a newline or that are no UTF-8 must have been refused before.
 */
export function verdictTree(
  conditions: readonly Condition[],
  allow: AllowLeaf,
  otherwise: OnMatch | null,
  memory: Memory,
  entries: EntryMemory | null,
): OnMatch | null {
  const making = { allow, memory, entries };
  const everything = conditions.find((condition) => condition.method === null && takesAnyPath(condition));
  if (everything !== undefined) return allow(everything.rule);
  const byMethod = new Map<string, Condition[]>();
  const others: Condition[] = [];
  for (const condition of conditions) {
    if (condition.method?.shape.kind !== 'literals') others.push(condition);
    else for (const method of condition.method.shape.texts) add(byMethod, method, condition);
  }
  const rest = pathTree(others, making, otherwise);
  const methods = new Map<string, Encoded>();
  for (const [method, ones] of byMethod) {
    const found = pathTree(ones, making, null);
    if (found !== null) methods.set(method, lookupEntry(method, found));
  }
  const tree = lookup('exact', ':method', methods, rest);
  return tree === null ? rest : matcherNode(tree);
}

/** The same for conditions whose method, if any, is a regex. */
function pathTree(
  conditions: readonly Condition[],
  making: Making,
  otherwise: OnMatch | null,
): OnMatch | null {
  const anyPath = conditions.find((condition) => methodLeft(condition) === null && takesAnyPath(condition));
  if (anyPath !== undefined) return making.allow(anyPath.rule);
  const exact = new Map<string, Condition[]>();
  const prefixes = new Map<string, Condition[]>();
  const floating: Condition[] = [];
  for (const condition of conditions) place(condition, exact, prefixes, floating);

  const last = leaf(floating, 'open', making, otherwise) ?? otherwise;
  const byPrefix = lookup('prefix', ':path', leaves(prefixes, 'open', making), last);
  const afterExact = byPrefix === null ? last : matcherNode(byPrefix);
  const byPath = lookup('exact', ':path', leaves(exact, 'settled', making), afterExact);
  return byPath === null ? afterExact : matcherNode(byPath);
}

function place(
  condition: Condition,
  exact: Map<string, Condition[]>,
  prefixes: Map<string, Condition[]>,
  floating: Condition[],
): void {
  const shape = condition.path?.shape ?? { kind: 'anything' };
  switch (shape.kind) {
    case 'anything':
      floating.push(condition);
      break;
    case 'literals':
      for (const text of shape.texts) add(exact, text, condition);
      break;
    case 'prefix':
      add(prefixes, shape.prefix, condition);
      break;
    case 'regex':
      if (shape.prefix === '') floating.push(condition);
      else add(prefixes, shape.prefix, condition);
      break;
  }
}

/** A rule that, its method apart, allows everything: the others beside it need not be asked. */
function takesAnyPath({ path, host, headers }: Condition): boolean {
  return path === null && host === null && headers.length === 0;
}

/** Whether the place in the tree has settled the path, or a condition's own regex is still to be tested. */
type PathState = 'settled' | 'open';

function pathLeft({ path }: Condition, state: PathState): Pattern | null {
  return state === 'open' && path?.shape.kind === 'regex' ? path : null;
}

/** The lookup by method has settled methods that are literals. */
function methodLeft({ method }: Condition): Pattern | null {
  return method?.shape.kind === 'literals' ? null : method;
}

function leaves(
  places: ReadonlyMap<string, readonly Condition[]>,
  state: PathState,
  making: Making,
): ReadonlyMap<string, Encoded> {
  const entries = new Map<string, Encoded>();
  for (const [text, conditions] of places) {
    const found = entry(text, conditions, state, making);
    if (found !== null) entries.set(text, found);
  }
  return entries;
}

/** Most places hold one condition, and most of these stand as they stood before an edit. */
function entry(
  text: string,
  conditions: readonly Condition[],
  state: PathState,
  making: Making,
): Encoded | null {
  const make = (): Encoded | null => {
    const found = leaf(conditions, state, making, null);
    return found === null ? null : lookupEntry(text, found);
  };
  const [only] = conditions;
  if (making.entries === null || only === undefined || conditions.length > 1) return make();
  const known = making.entries.get(only) ?? new Map<string, Encoded | null>();
  making.entries.set(only, known);
  const key = `${state} ${text}`;
  const before = known.get(key);
  if (before !== undefined) return before;
  const made = make();
  const bytes = made === null ? null : written(made);
  known.set(key, bytes);
  return bytes;
}

/** Tests what is left at one place. */
function leaf(
  conditions: readonly Condition[],
  state: PathState,
  making: Making,
  otherwise: OnMatch | null,
): OnMatch | null {
  const free = conditions.find(
    (condition) =>
      pathLeft(condition, state) === null &&
      methodLeft(condition) === null &&
      condition.host === null &&
      condition.headers.length === 0,
  );
  if (free !== undefined) return making.allow(free.rule);
  const alike = new Map<string, Condition[]>();
  for (const condition of conditions) {
    const { host, headers } = condition;
    add(alike, JSON.stringify([methodLeft(condition)?.regex, host?.regex, headers]), condition);
  }
  const branches = [...alike]
    .sort(([left], [right]) => (left < right ? -1 : 1))
    .flatMap(([, group]) => branchesOf(group, state, making));
  const matcher = firstOf(branches, otherwise);
  return matcher === null ? null : matcherNode(matcher);
}

/** A condition of which the path is still to be tested. */
interface OpenPath {
  readonly condition: Condition;
  readonly path: Pattern;
}

/** Branches for conditions that differ in nothing but the path's regex. */
function branchesOf(group: readonly Condition[], state: PathState, making: Making): readonly Branch[] {
  const paths: OpenPath[] = [];
  for (const condition of group) {
    const path = pathLeft(condition, state);
    if (path === null) return [branch(condition, null, condition.rule, making)];
    paths.push({ condition, path });
  }
  if (paths.length <= maxSingleRegexes) {
    return paths.map(({ condition, path }) => branch(condition, path.regex, condition.rule, making));
  }
  const [first] = group;
  if (first === undefined) return [];
  return combined(paths).map((together) => {
    const [only] = together;
    if (only !== undefined && together.length === 1) {
      return branch(first, only.path.regex, only.condition.rule, making);
    }
    const members = together.map(({ condition, path }) => ({ rule: condition.rule, path: path.regex }));
    const regex = members.map(({ path }) => `(?:${path})`).join('|');
    return branch(first, regex, making.memory.groups.name(members), making);
  });
}

/** Puts regexes together so that none costs more than the budget (one alone may). */
function combined(paths: readonly OpenPath[]): readonly (readonly OpenPath[])[] {
  const groups: OpenPath[][] = [];
  let cost = 0;
  for (const open of paths) {
    const last = groups.at(-1);
    cost += open.path.instructions;
    if (last !== undefined && cost <= combinedInstructions) last.push(open);
    else {
      groups.push([open]);
      cost = open.path.instructions;
    }
  }
  return groups;
}

function branch(condition: Condition, path: string | null, rule: string, { allow }: Making): Branch {
  const method = methodLeft(condition);
  const predicates = [
    ...(method === null ? [] : [headerMatchesRegex(':method', method.regex)]),
    ...condition.headers.map(headerPasses),
    ...(condition.host === null ? [] : [headerMatchesRegex(':authority', condition.host.regex)]),
    ...(path === null ? [] : [headerMatchesRegex(':path', path)]),
  ];
  return { predicate: allOf(predicates), onMatch: allow(rule) };
}

function add(places: Map<string, Condition[]>, key: string, residual: Condition): void {
  const present = places.get(key);
  if (present === undefined) places.set(key, [residual]);
  else present.push(residual);
}
