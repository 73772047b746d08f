import { RE2JS } from 're2js';
import type { Encoded } from '../wire.ts';
import type { Condition, HeaderAction, Pattern } from './condition.ts';
import {
  allOf,
  anyOf,
  firstOf,
  headerEquals,
  headerMatchesRegex,
  headerPasses,
  headerPresent,
  lookup,
  lookupEntry,
  matcherNode,
  type OnMatch,
  type Predicate,
} from './matcher.ts';

/** Makes the leaf for a request that these conditions match, at least one. */
export type Outcome = (matched: readonly [Condition, ...Condition[]]) => OnMatch;

/** Why header actions cannot be put into a tree. */
export class TooManyCombinations extends Error {
  readonly rules: readonly string[];

  constructor(what: string, conditions: readonly Condition[]) {
    super(
      `${what} fit into the proxy; give the rules paths or methods that exclude each other, or fewer actions`,
    );
    this.rules = conditions.map((condition) => condition.rule);
  }
}

/** Rules with actions that one request may match at once; their combinations double with each. */
const maxOverlapping = 6;

/**
 * The tree over rules with header actions. A request gets the actions of all of them that match it
 * (as in Cilium), so unlike a verdict this needs every combination of matches. What no such rule
 * matches stands on `otherwise`.
 */
export function actionStage(
  conditions: readonly Condition[],
  outcome: Outcome,
  otherwise: OnMatch | null,
): OnMatch | null {
  const open: Condition[] = [];
  const byText = new Map<string, Condition[]>();
  for (const condition of conditions) {
    if (condition.path?.shape.kind !== 'literals') open.push(condition);
    else
      for (const text of condition.path.shape.texts)
        byText.set(text, [...(byText.get(text) ?? []), condition]);
  }
  const exact = new Map<string, Encoded>();
  for (const [text, literal] of byText) {
    const possible = open.filter(
      (condition) => text.startsWith(prefixOf(condition)) && matches(condition, text),
    );
    const candidates = [...literal, ...possible].map((condition) => ({ condition, path: null }));
    const decided = decide(candidates, outcome, null);
    if (decided !== null) exact.set(text, lookupEntry(text, decided));
  }
  // The longest prefix of a path decides: longer ones do not match it, shorter ones may.
  const prefixed = new Map<string, Encoded>();
  for (const prefix of new Set(open.map(prefixOf))) {
    if (prefix === '') continue;
    const decided = decide(openBehind(prefix, open), outcome, null);
    if (decided !== null) prefixed.set(prefix, lookupEntry(prefix, decided));
  }
  const floating = decide(openBehind('', open), outcome, otherwise) ?? otherwise;
  const byPrefix = lookup('prefix', ':path', prefixed, floating);
  const afterExact = byPrefix === null ? floating : matcherNode(byPrefix);
  const byPath = lookup('exact', ':path', exact, afterExact);
  return byPath === null ? afterExact : matcherNode(byPath);
}

/** Conditions that can match a path of which this is the longest known prefix. */
function openBehind(prefix: string, open: readonly Condition[]): readonly Candidate[] {
  return open
    .filter((condition) => prefix.startsWith(prefixOf(condition)))
    .map((condition) => ({ condition, path: condition.path }));
}

/** What every path that the condition matches begins with. */
function prefixOf({ path }: Condition): string {
  return path?.shape.kind === 'prefix' || path?.shape.kind === 'regex' ? path.shape.prefix : '';
}

/**
 * Branches on whether each action's header has the wanted value; the leaf gets those that do not.
 * Actions that want the same of the same header share one branch.
 */
export function headerBranches(
  actions: readonly HeaderAction[],
  leaf: (mismatched: readonly HeaderAction[]) => OnMatch,
): OnMatch {
  const wanted = new Map<string, HeaderAction[]>();
  for (const action of actions) {
    const key = JSON.stringify([action.name, action.value]);
    const alike = wanted.get(key) ?? [];
    if (!alike.some((other) => other.kind === action.kind)) alike.push(action);
    wanted.set(key, alike);
  }
  const groups = [...wanted.values()];
  const split = (index: number, mismatched: readonly HeaderAction[]): OnMatch => {
    const group = groups[index];
    const [first] = group ?? [];
    if (group === undefined || first === undefined) return leaf(mismatched);
    const matches = first.value === '' ? headerPresent(first.name) : headerEquals(first.name, first.value);
    const matcher = firstOf(
      [{ predicate: matches, onMatch: split(index + 1, mismatched) }],
      split(index + 1, [...mismatched, ...group]),
    );
    return matcher === null ? leaf(mismatched) : matcherNode(matcher);
  };
  return split(0, []);
}

interface Candidate {
  readonly condition: Condition;
  /** What is still to be tested of the path. */
  readonly path: Pattern | null;
}

function decide(
  candidates: readonly Candidate[],
  outcome: Outcome,
  otherwise: OnMatch | null,
): OnMatch | null {
  const alone = exclusiveMethods(candidates);
  if (alone === null && candidates.length > maxOverlapping) {
    throw new TooManyCombinations(
      `${candidates.length} rules with header actions can match one request, more than the ${maxOverlapping} whose combinations`,
      candidates.map(({ condition }) => condition),
    );
  }
  const split = (index: number, matched: readonly Condition[]): OnMatch | null => {
    const candidate = candidates[index];
    if (candidate === undefined) {
      const [first, ...others] = matched;
      return first === undefined ? otherwise : outcome([first, ...others]);
    }
    const { condition } = candidate;
    const predicates = tests(candidate);
    const yes = alone === null ? split(index + 1, [...matched, condition]) : outcome([condition]);
    if (yes === null || predicates.length === 0) return yes;
    const matcher = firstOf([{ predicate: allOf(predicates), onMatch: yes }], split(index + 1, matched));
    return matcher === null ? null : matcherNode(matcher);
  };
  return split(0, []);
}

/** True when no request can match two of the candidates because their methods differ; else null. */
function exclusiveMethods(candidates: readonly Candidate[]): true | null {
  const seen = new Set<string>();
  for (const { condition } of candidates) {
    if (condition.method?.shape.kind !== 'literals') return null;
    for (const method of condition.method.shape.texts) {
      if (seen.has(method)) return null;
      seen.add(method);
    }
  }
  return true;
}

function tests({ condition, path }: Candidate): readonly Predicate[] {
  const { method, host, headers } = condition;
  const predicates: Predicate[] = [];
  if (method?.shape.kind === 'literals') {
    predicates.push(anyOf(method.shape.texts.map((text) => headerEquals(':method', text))));
  } else if (method !== null) {
    predicates.push(headerMatchesRegex(':method', method.regex));
  }
  predicates.push(...headers.map(headerPasses));
  if (host !== null) predicates.push(headerMatchesRegex(':authority', host.regex));
  if (path !== null) predicates.push(headerMatchesRegex(':path', path.regex));
  return predicates;
}

function matches({ path }: Condition, text: string): boolean {
  return path === null || RE2JS.matches(path.regex, text);
}
