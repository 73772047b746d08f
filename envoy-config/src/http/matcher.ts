import { create, type MessageInitShape } from '@bufbuild/protobuf';
import { anyPack } from '@bufbuild/protobuf/wkt';
import { HttpRequestHeaderMatchInputSchema } from '@weir/xds-ts/envoy/type/matcher/v3/http_inputs';
import type { TypedExtensionConfigSchema } from '@weir/xds-ts/xds/core/v3/extension';
import {
  type Matcher,
  type Matcher_MatcherList_Predicate,
  Matcher_MatcherList_PredicateSchema,
  type Matcher_OnMatch,
  Matcher_OnMatchSchema,
  MatcherSchema,
} from '@weir/xds-ts/xds/type/matcher/v3/matcher';
import type { HeaderTest } from './condition.ts';

/** What a match leads to, ready to stand in a tree. */
export type Action = MessageInitShape<typeof TypedExtensionConfigSchema>;

/** One way to a result: the first predicate that holds decides. */
export interface Branch {
  readonly predicate: Matcher_MatcherList_Predicate;
  readonly onMatch: Matcher_OnMatch;
}

/** The value of a request header or pseudo header; several values are joined with a comma. */
function headerInput(name: string): Action {
  const typedConfig = anyPack(
    HttpRequestHeaderMatchInputSchema,
    create(HttpRequestHeaderMatchInputSchema, { headerName: name }),
  );
  return { name, typedConfig };
}

/** A leaf: the action. */
export function actionLeaf(action: Action): Matcher_OnMatch {
  return create(Matcher_OnMatchSchema, { onMatch: { case: 'action', value: action } });
}

/** An inner node: another matcher. */
export function matcherNode(matcher: Matcher): Matcher_OnMatch {
  return create(Matcher_OnMatchSchema, { onMatch: { case: 'matcher', value: matcher } });
}

/** Holds when the header is there with exactly this value. */
export function headerEquals(name: string, value: string): Matcher_MatcherList_Predicate {
  return single(name, { case: 'exact', value });
}

/** Holds when the regex matches the header's whole value. */
export function headerMatchesRegex(name: string, regex: string): Matcher_MatcherList_Predicate {
  return single(name, { case: 'safeRegex', value: { regex, engineType: { case: 'googleRe2', value: {} } } });
}

/** Holds when the header is there, with any bytes (`\C` is any byte, even of what is no UTF-8). */
export function headerPresent(name: string): Matcher_MatcherList_Predicate {
  return headerMatchesRegex(name, '\\C*');
}

/** Holds when the header passes the test. */
export function headerPasses({ name, value }: HeaderTest): Matcher_MatcherList_Predicate {
  switch (value.kind) {
    case 'any':
      return headerPresent(name);
    case 'exact':
      return headerEquals(name, value.text);
    case 'prefix':
      return single(name, { case: 'prefix', value: value.text });
    case 'regex':
      return headerMatchesRegex(name, value.regex);
  }
}

/** Holds when all of them hold. */
export function allOf(predicates: readonly Matcher_MatcherList_Predicate[]): Matcher_MatcherList_Predicate {
  return several('andMatcher', predicates);
}

/** Holds when one of them holds. */
export function anyOf(predicates: readonly Matcher_MatcherList_Predicate[]): Matcher_MatcherList_Predicate {
  return several('orMatcher', predicates);
}

/** Holds when the other does not. */
export function not(predicate: Matcher_MatcherList_Predicate): Matcher_MatcherList_Predicate {
  return create(Matcher_MatcherList_PredicateSchema, { matchType: { case: 'notMatcher', value: predicate } });
}

/** Tries the branches in order; null when there is nothing to try. */
export function firstOf(branches: readonly Branch[], otherwise: Matcher_OnMatch | null): Matcher | null {
  if (branches.length === 0) return null;
  return create(MatcherSchema, {
    matcherType: { case: 'matcherList', value: { matchers: branches.map((branch) => ({ ...branch })) } },
    ...(otherwise !== null && { onNoMatch: otherwise }),
  });
}

/**
 * Looks the header's value up: `exact` takes the entry of that very value, `prefix` the longest that begins
 * the value, going back to shorter ones while an entry's own matcher finds nothing. Entries sorted by key,
 * so that equal maps have equal bytes.
 */
export function lookup(
  kind: 'exact' | 'prefix',
  header: string,
  entries: ReadonlyMap<string, Matcher_OnMatch>,
  otherwise: Matcher_OnMatch | null,
): Matcher | null {
  if (entries.size === 0) return null;
  const map = Object.fromEntries([...entries].sort(([left], [right]) => (left < right ? -1 : 1)));
  const treeType = kind === 'exact' ? ('exactMatchMap' as const) : ('prefixMatchMap' as const);
  return create(MatcherSchema, {
    matcherType: {
      case: 'matcherTree',
      value: { input: headerInput(header), treeType: { case: treeType, value: { map } } },
    },
    ...(otherwise !== null && { onNoMatch: otherwise }),
  });
}

type StringMatch =
  | { case: 'exact' | 'prefix'; value: string }
  | { case: 'safeRegex'; value: { regex: string; engineType: { case: 'googleRe2'; value: object } } };

function single(name: string, matchPattern: StringMatch): Matcher_MatcherList_Predicate {
  return create(Matcher_MatcherList_PredicateSchema, {
    matchType: {
      case: 'singlePredicate',
      value: { input: headerInput(name), matcher: { case: 'valueMatch', value: { matchPattern } } },
    },
  });
}

function several(
  kind: 'andMatcher' | 'orMatcher',
  predicates: readonly Matcher_MatcherList_Predicate[],
): Matcher_MatcherList_Predicate {
  const [only] = predicates;
  if (only !== undefined && predicates.length === 1) return only;
  return create(Matcher_MatcherList_PredicateSchema, {
    matchType: { case: kind, value: { predicate: [...predicates] } },
  });
}
