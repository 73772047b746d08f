import type { Condition, Pattern } from './condition.ts';
import {
  allOf,
  type Branch,
  firstOf,
  headerMatchesRegex,
  headerPasses,
  lookup,
  matcherNode,
  type OnMatch,
} from './matcher.ts';

/** What an allowed request leads to; null where a combined regex hides which rule it was. */
export type AllowLeaf = (rule: string | null) => OnMatch;

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
): OnMatch | null {
  const everything = conditions.find((condition) => condition.method === null && takesAnyPath(condition));
  if (everything !== undefined) return allow(everything.rule);
  const byMethod = new Map<string, Condition[]>();
  const others: Condition[] = [];
  for (const condition of conditions) {
    if (condition.method?.shape.kind !== 'literals') others.push(condition);
    else for (const method of condition.method.shape.texts) add(byMethod, method, condition);
  }
  const rest = pathTree(others, allow, otherwise);
  const methods = new Map<string, OnMatch>();
  for (const [method, ones] of byMethod) {
    const found = pathTree(ones, allow, null);
    if (found !== null) methods.set(method, found);
  }
  const tree = lookup('exact', ':method', methods, rest);
  return tree === null ? rest : matcherNode(tree);
}

/** The same for conditions whose method, if any, is a regex. */
function pathTree(
  conditions: readonly Condition[],
  allow: AllowLeaf,
  otherwise: OnMatch | null,
): OnMatch | null {
  const anyPath = conditions.find((condition) => methodLeft(condition) === null && takesAnyPath(condition));
  if (anyPath !== undefined) return allow(anyPath.rule);
  const exact = new Map<string, Condition[]>();
  const prefixes = new Map<string, Condition[]>();
  const floating: Condition[] = [];
  for (const condition of conditions) place(condition, exact, prefixes, floating);

  const last = leaf(floating, 'open', allow, otherwise) ?? otherwise;
  const byPrefix = lookup('prefix', ':path', leaves(prefixes, 'open', allow), last);
  const afterExact = byPrefix === null ? last : matcherNode(byPrefix);
  const byPath = lookup('exact', ':path', leaves(exact, 'settled', allow), afterExact);
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
  allow: AllowLeaf,
): ReadonlyMap<string, OnMatch> {
  const entries = new Map<string, OnMatch>();
  for (const [text, conditions] of places) {
    const found = leaf(conditions, state, allow, null);
    if (found !== null) entries.set(text, found);
  }
  return entries;
}

/** Tests what is left at one place. */
function leaf(
  conditions: readonly Condition[],
  state: PathState,
  allow: AllowLeaf,
  otherwise: OnMatch | null,
): OnMatch | null {
  const free = conditions.find(
    (condition) =>
      pathLeft(condition, state) === null &&
      methodLeft(condition) === null &&
      condition.host === null &&
      condition.headers.length === 0,
  );
  if (free !== undefined) return allow(free.rule);
  const alike = new Map<string, Condition[]>();
  for (const condition of conditions) {
    const { host, headers } = condition;
    add(alike, JSON.stringify([methodLeft(condition)?.regex, host?.regex, headers]), condition);
  }
  const branches = [...alike]
    .sort(([left], [right]) => (left < right ? -1 : 1))
    .flatMap(([, group]) => branchesOf(group, state, allow));
  const matcher = firstOf(branches, otherwise);
  return matcher === null ? null : matcherNode(matcher);
}

/** Branches for conditions that differ in nothing but the path's regex. */
function branchesOf(group: readonly Condition[], state: PathState, allow: AllowLeaf): readonly Branch[] {
  const paths: { readonly condition: Condition; readonly path: Pattern }[] = [];
  for (const condition of group) {
    const path = pathLeft(condition, state);
    if (path === null) return [branch(condition, null, condition.rule, allow)];
    paths.push({ condition, path });
  }
  if (paths.length <= maxSingleRegexes) {
    return paths.map(({ condition, path }) => branch(condition, path.regex, condition.rule, allow));
  }
  const [first] = group;
  if (first === undefined) return [];
  return combined(paths.map(({ path }) => path)).map((regex) => branch(first, regex, null, allow));
}

/** Joins regexes into few, none of which costs more than the budget (one alone may). */
function combined(patterns: readonly Pattern[]): readonly string[] {
  const regexes: string[] = [];
  let parts: string[] = [];
  let cost = 0;
  for (const { regex, instructions } of patterns) {
    if (parts.length > 0 && cost + instructions > combinedInstructions) {
      regexes.push(parts.join('|'));
      parts = [];
      cost = 0;
    }
    parts.push(`(?:${regex})`);
    cost += instructions;
  }
  if (parts.length > 0) regexes.push(parts.join('|'));
  return regexes;
}

function branch(condition: Condition, path: string | null, rule: string | null, allow: AllowLeaf): Branch {
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
