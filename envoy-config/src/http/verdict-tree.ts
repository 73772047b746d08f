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
  const byMethod = new Map<string, Condition[]>();
  const others: Condition[] = [];
  for (const condition of conditions) {
    if (condition.method?.shape.kind !== 'literals') others.push(condition);
    else
      for (const method of condition.method.shape.texts)
        add(byMethod, method, { ...condition, method: null });
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
  const exact = new Map<string, Condition[]>();
  const prefixes = new Map<string, Condition[]>();
  const floating: Condition[] = [];
  for (const condition of conditions) place(condition, exact, prefixes, floating);

  const last = leaf(floating, allow, otherwise) ?? otherwise;
  const byPrefix = lookup('prefix', ':path', leaves(prefixes, allow), last);
  const afterExact = byPrefix === null ? last : matcherNode(byPrefix);
  const byPath = lookup('exact', ':path', leaves(exact, allow), afterExact);
  return byPath === null ? afterExact : matcherNode(byPath);
}

function place(
  condition: Condition,
  exact: Map<string, Condition[]>,
  prefixes: Map<string, Condition[]>,
  floating: Condition[],
): void {
  const { path } = condition;
  const settled: Condition = { ...condition, path: null };
  const shape = path?.shape ?? { kind: 'anything' };
  switch (shape.kind) {
    case 'anything':
      floating.push(settled);
      break;
    case 'literals':
      for (const text of shape.texts) add(exact, text, settled);
      break;
    case 'prefix':
      add(prefixes, shape.prefix, settled);
      break;
    case 'regex':
      if (shape.prefix === '') floating.push(condition);
      else add(prefixes, shape.prefix, condition);
      break;
  }
}

function leaves(
  places: ReadonlyMap<string, readonly Condition[]>,
  allow: AllowLeaf,
): ReadonlyMap<string, OnMatch> {
  const entries = new Map<string, OnMatch>();
  for (const [text, residuals] of places) {
    const found = leaf(residuals, allow, null);
    if (found !== null) entries.set(text, found);
  }
  return entries;
}

/** Tests what is left at one place. */
function leaf(residuals: readonly Condition[], allow: AllowLeaf, otherwise: OnMatch | null): OnMatch | null {
  const free = residuals.find(isFree);
  return free === undefined ? list(residuals, allow, otherwise) : allow(free.rule);
}

function list(residuals: readonly Condition[], allow: AllowLeaf, otherwise: OnMatch | null): OnMatch | null {
  const alike = new Map<string, Condition[]>();
  for (const residual of residuals) {
    add(alike, JSON.stringify([residual.method?.regex, residual.host?.regex, residual.headers]), residual);
  }
  const branches = [...alike]
    .sort(([left], [right]) => (left < right ? -1 : 1))
    .flatMap(([, group]) => branchesOf(group, allow));
  const matcher = firstOf(branches, otherwise);
  return matcher === null ? null : matcherNode(matcher);
}

/** Branches for residuals that differ in nothing but the path's regex. */
function branchesOf(group: readonly Condition[], allow: AllowLeaf): readonly Branch[] {
  const pathless = group.find((residual) => residual.path === null);
  if (pathless !== undefined) return [branch(pathless, null, pathless.rule, allow)];
  const paths = group.flatMap(({ path, rule }) => (path === null ? [] : [{ path, rule }]));
  const [first] = group;
  if (first === undefined) return [];
  if (paths.length <= maxSingleRegexes) {
    return paths.map(({ path, rule }) => branch(first, path.regex, rule, allow));
  }
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

function branch(residual: Condition, path: string | null, rule: string | null, allow: AllowLeaf): Branch {
  const predicates = [
    ...(residual.method === null ? [] : [headerMatchesRegex(':method', residual.method.regex)]),
    ...residual.headers.map(headerPasses),
    ...(residual.host === null ? [] : [headerMatchesRegex(':authority', residual.host.regex)]),
    ...(path === null ? [] : [headerMatchesRegex(':path', path)]),
  ];
  return { predicate: allOf(predicates), onMatch: allow(rule) };
}

function isFree(residual: Condition): boolean {
  return (
    residual.path === null &&
    residual.method === null &&
    residual.host === null &&
    residual.headers.length === 0
  );
}

function add(places: Map<string, Condition[]>, key: string, residual: Condition): void {
  const present = places.get(key);
  if (present === undefined) places.set(key, [residual]);
  else present.push(residual);
}
