import { create, toBinary } from '@bufbuild/protobuf';
import { HttpRequestHeaderMatchInputSchema } from '@weir/xds-ts/envoy/type/matcher/v3/http_inputs';
import { TypedExtensionConfigSchema } from '@weir/xds-ts/xds/core/v3/extension';
import {
  Matcher_MatcherList_FieldMatcherSchema,
  Matcher_MatcherList_Predicate_PredicateListSchema,
  Matcher_MatcherList_Predicate_SinglePredicateSchema,
  Matcher_MatcherList_PredicateSchema,
  Matcher_MatcherListSchema,
  Matcher_MatcherTree_MatchMapSchema,
  Matcher_MatcherTreeSchema,
  Matcher_OnMatchSchema,
  MatcherSchema,
} from '@weir/xds-ts/xds/type/matcher/v3/matcher';
import { RegexMatcherSchema } from '@weir/xds-ts/xds/type/matcher/v3/regex';
import { StringMatcherSchema } from '@weir/xds-ts/xds/type/matcher/v3/string';
import { typedConfig } from '../typed-config.ts';
import { type Encoded, field, joined } from '../wire.ts';
import type { HeaderTest } from './condition.ts';

/** xds.type.matcher.v3.Matcher */
export type Matcher = Encoded;
/** xds.type.matcher.v3.Matcher.OnMatch */
export interface OnMatch {
  readonly kind: 'action' | 'matcher';
  readonly inner: Action | Matcher;
}
/** xds.type.matcher.v3.Matcher.MatcherList.Predicate */
export type Predicate = Encoded;
/** xds.core.v3.TypedExtensionConfig: what a match leads to */
export type Action = Encoded;

/** Key and value of an entry of a protobuf map. */
const mapKey = 1;
const mapValue = 2;

const matcher = MatcherSchema.field;
const onMatch = Matcher_OnMatchSchema.field;
const list = Matcher_MatcherListSchema.field;
const fieldMatcher = Matcher_MatcherList_FieldMatcherSchema.field;
const predicate = Matcher_MatcherList_PredicateSchema.field;
const singlePredicate = Matcher_MatcherList_Predicate_SinglePredicateSchema.field;
const predicateList = Matcher_MatcherList_Predicate_PredicateListSchema.field;
const tree = Matcher_MatcherTreeSchema.field;
const matchMap = Matcher_MatcherTree_MatchMapSchema.field;
const stringMatcher = StringMatcherSchema.field;
const regexMatcher = RegexMatcherSchema.field;

/** One way to a result: the first predicate that holds decides. */
export interface Branch {
  readonly predicate: Predicate;
  readonly onMatch: OnMatch;
}

/** A leaf: the action. */
export function actionLeaf(action: Action): OnMatch {
  return { kind: 'action', inner: action };
}

/** An inner node: another matcher. */
export function matcherNode(inner: Matcher): OnMatch {
  return { kind: 'matcher', inner };
}

/** The matcher that comes to this result for every request. */
export function alwaysMatcher(result: OnMatch): Matcher {
  if (result.kind === 'matcher') return result.inner;
  return field(
    matcher.matcherList.number,
    listEntry({ predicate: headerPresent(':method'), onMatch: result }),
  );
}

/** Holds when the header is there with exactly this value. */
export function headerEquals(name: string, value: string): Predicate {
  return single(name, field(stringMatcher.exact.number, value));
}

/** Holds when the regex matches the header's whole value. */
export function headerMatchesRegex(name: string, regex: string): Predicate {
  const regexParts = joined(
    field(regexMatcher.googleRe2.number, ''),
    field(regexMatcher.regex.number, regex),
  );
  return single(name, field(stringMatcher.safeRegex.number, regexParts));
}

/** Holds when the header is there, with any bytes (`\C` is any byte, even of what is no UTF-8). */
export function headerPresent(name: string): Predicate {
  return headerMatchesRegex(name, '\\C*');
}

/** Holds when the header passes the test. */
export function headerPasses({ name, value }: HeaderTest): Predicate {
  switch (value.kind) {
    case 'any':
      return headerPresent(name);
    case 'exact':
      return headerEquals(name, value.text);
    case 'prefix':
      return single(name, field(stringMatcher.prefix.number, value.text));
    case 'regex':
      return headerMatchesRegex(name, value.regex);
  }
}

/** Holds when all of them hold. */
export function allOf(predicates: readonly Predicate[]): Predicate {
  return several(predicate.andMatcher.number, predicates);
}

/** Holds when one of them holds. */
export function anyOf(predicates: readonly Predicate[]): Predicate {
  return several(predicate.orMatcher.number, predicates);
}

/** Holds when the other does not. */
export function not(other: Predicate): Predicate {
  return field(predicate.notMatcher.number, other);
}

/** Tries the branches in order; null when there is nothing to try. */
export function firstOf(branches: readonly Branch[], otherwise: OnMatch | null): Matcher | null {
  if (branches.length === 0) return null;
  return withOtherwise(field(matcher.matcherList.number, joined(...branches.map(listEntry))), otherwise);
}

/** An entry of a {@link lookup}. */
export function lookupEntry(key: string, result: OnMatch): Encoded {
  return field(matchMap.map.number, joined(field(mapKey, key), field(mapValue, encodedOnMatch(result))));
}

/**
 * Looks the header's value up: `exact` takes the entry of that very value, `prefix` the longest that begins
 * the value, going back to shorter ones while an entry's own matcher finds nothing. Entries sorted by key,
 * so that equal maps have equal bytes.
 */
export function lookup(
  kind: 'exact' | 'prefix',
  header: string,
  entries: ReadonlyMap<string, Encoded>,
  otherwise: OnMatch | null,
): Matcher | null {
  if (entries.size === 0) return null;
  const pairs = [...entries].sort(([left], [right]) => (left < right ? -1 : 1)).map(([, entry]) => entry);
  const parts = joined(
    field(tree.input.number, headerInput(header)),
    field(tree[`${kind}MatchMap`].number, joined(...pairs)),
  );
  return withOtherwise(field(matcher.matcherTree.number, parts), otherwise);
}

function withOtherwise(node: Encoded, otherwise: OnMatch | null): Matcher {
  return otherwise === null ? node : joined(node, field(matcher.onNoMatch.number, encodedOnMatch(otherwise)));
}

function encodedOnMatch({ kind, inner }: OnMatch): Encoded {
  return field(onMatch[kind].number, inner);
}

function listEntry(branch: Branch): Encoded {
  const when = field(fieldMatcher.predicate.number, branch.predicate);
  const then = field(fieldMatcher.onMatch.number, encodedOnMatch(branch.onMatch));
  return field(list.matchers.number, joined(when, then));
}

function single(name: string, valueMatch: Encoded): Predicate {
  const parts = joined(
    field(singlePredicate.input.number, headerInput(name)),
    field(singlePredicate.valueMatch.number, valueMatch),
  );
  return field(predicate.singlePredicate.number, parts);
}

function several(kind: number, predicates: readonly Predicate[]): Predicate {
  const [only] = predicates;
  if (only !== undefined && predicates.length === 1) return only;
  return field(kind, joined(...predicates.map((each) => field(predicateList.predicate.number, each))));
}

/** The value of a request header or pseudo header; several values are joined with a comma. */
function headerInput(name: string): Encoded {
  return pseudoHeaders.get(name) ?? encodedInput(name);
}

function encodedInput(name: string): Encoded {
  const input = typedConfig(name, HttpRequestHeaderMatchInputSchema, { headerName: name });
  return joined(toBinary(TypedExtensionConfigSchema, create(TypedExtensionConfigSchema, input)));
}

const pseudoHeaders: ReadonlyMap<string, Encoded> = new Map(
  [':path', ':method', ':authority'].map((name) => [name, encodedInput(name)]),
);
