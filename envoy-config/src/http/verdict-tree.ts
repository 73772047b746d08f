import type { Matcher_OnMatch } from '@weir/xds-ts/xds/type/matcher/v3/matcher';
import type { Condition, Pattern } from './condition.ts';
import {
  allOf,
  type Branch,
  firstOf,
  headerMatchesRegex,
  headerPasses,
  lookup,
  matcherNode,
} from './matcher.ts';

/** What an allowed request leads to; null where a combined regex hides which rule it was. */
export type AllowLeaf = (rule: string | null) => Matcher_OnMatch;

/** A combined regex past roughly 1,500 instructions falls off a cliff under hostile paths (measured). */
const combinedInstructions = 1_000;
/** Up to so many regexes of one place are tried one by one, each with its own rule id. */
const maxSingleRegexes = 4;

/** A condition within its place in the tree: what is still to be tested there. */
interface Residual {
  readonly rule: string;
  readonly path: Pattern | null;
  readonly method: Pattern | null;
  readonly host: Pattern | null;
  readonly headers: Condition['headers'];
}

/**
 * The tree that finds a rule for a request in time that does not grow with the number of rules:
 * exact paths, else literal prefixes, else what has neither. The result stands on `otherwise` where no
 * rule matches. Paths with a newline or that are no UTF-8 must have been refused before.
 */
export function verdictTree(
  conditions: readonly Condition[],
  allow: AllowLeaf,
  otherwise: Matcher_OnMatch | null,
): Matcher_OnMatch | null {
  const exact = new Map<string, Residual[]>();
  const prefixes = new Map<string, Residual[]>();
  const floating: Residual[] = [];
  for (const condition of conditions) place(condition, exact, prefixes, floating);

  const last = leaf(floating, allow, otherwise) ?? otherwise;
  const byPrefix = lookup('prefix', ':path', leaves(prefixes, allow), last);
  const afterExact = byPrefix === null ? last : matcherNode(byPrefix);
  const byPath = lookup('exact', ':path', leaves(exact, allow), afterExact);
  return byPath === null ? afterExact : matcherNode(byPath);
}

function place(
  condition: Condition,
  exact: Map<string, Residual[]>,
  prefixes: Map<string, Residual[]>,
  floating: Residual[],
): void {
  const { rule, method, host, headers, path } = condition;
  const settled: Residual = { rule, path: null, method, host, headers };
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
      if (shape.prefix === '') floating.push({ ...settled, path });
      else add(prefixes, shape.prefix, { ...settled, path });
      break;
  }
}

function leaves(
  places: ReadonlyMap<string, readonly Residual[]>,
  allow: AllowLeaf,
): ReadonlyMap<string, Matcher_OnMatch> {
  const entries = new Map<string, Matcher_OnMatch>();
  for (const [text, residuals] of places) {
    const found = leaf(residuals, allow, null);
    if (found !== null) entries.set(text, found);
  }
  return entries;
}

/** Tests what is left at one place: by method first, then the rest in a list. */
function leaf(
  residuals: readonly Residual[],
  allow: AllowLeaf,
  otherwise: Matcher_OnMatch | null,
): Matcher_OnMatch | null {
  const free = residuals.find(isFree);
  if (free !== undefined) return allow(free.rule);

  const byMethod = new Map<string, Residual[]>();
  const others: Residual[] = [];
  for (const residual of residuals) {
    if (residual.method?.shape.kind !== 'literals') others.push(residual);
    else
      for (const method of residual.method.shape.texts) add(byMethod, method, { ...residual, method: null });
  }
  const rest = list(others, allow, otherwise);
  const methods = lookup('exact', ':method', leaves(byMethod, allow), rest ?? otherwise);
  return methods === null ? rest : matcherNode(methods);
}

function list(
  residuals: readonly Residual[],
  allow: AllowLeaf,
  otherwise: Matcher_OnMatch | null,
): Matcher_OnMatch | null {
  const alike = new Map<string, Residual[]>();
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
function branchesOf(group: readonly Residual[], allow: AllowLeaf): readonly Branch[] {
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

function branch(residual: Residual, path: string | null, rule: string | null, allow: AllowLeaf): Branch {
  const predicates = [
    ...(residual.method === null ? [] : [headerMatchesRegex(':method', residual.method.regex)]),
    ...residual.headers.map(headerPasses),
    ...(residual.host === null ? [] : [headerMatchesRegex(':authority', residual.host.regex)]),
    ...(path === null ? [] : [headerMatchesRegex(':path', path)]),
  ];
  return { predicate: allOf(predicates), onMatch: allow(rule) };
}

function isFree(residual: Residual): boolean {
  return (
    residual.path === null &&
    residual.method === null &&
    residual.host === null &&
    residual.headers.length === 0
  );
}

function add(places: Map<string, Residual[]>, key: string, residual: Residual): void {
  const present = places.get(key);
  if (present === undefined) places.set(key, [residual]);
  else present.push(residual);
}
