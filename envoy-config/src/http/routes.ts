import { create, toBinary } from '@bufbuild/protobuf';
import { anyPack } from '@bufbuild/protobuf/wkt';
import { RouteConfigurationSchema } from '@weir/xds-ts/envoy/config/route/v3/route';
import {
  type RBACPerRoute,
  RBACPerRouteSchema,
} from '@weir/xds-ts/envoy/extensions/filters/http/rbac/v3/rbac';
import type { Matcher, Matcher_OnMatch } from '@weir/xds-ts/xds/type/matcher/v3/matcher';
import { type Compiled, typeUrls } from '../resource.ts';
import { actionStage, headerBranches, TooManyCombinations } from './action-stage.ts';
import type { Condition } from './condition.ts';
import { actionLeaf, anyOf, firstOf, headerMatchesRegex, headerPresent, not } from './matcher.ts';
import { allowRoute, allowVerdict, denyRoute } from './route-action.ts';
import type { RuleSide } from './route-name.ts';
import type { RuleSet } from './rule-set.ts';
import { verdictFilter } from './verdict-filter.ts';
import { verdictTree } from './verdict-tree.ts';

/**
 * Paths that a server may read as another one than the rules see: a dot segment, plain or encoded, after
 * any kind of slash, with or without a path parameter. Full match over `:path`.
 */
export const traversal =
  '(?i)[^?#]*(?:/|\\\\|%2f|%5c)(?:\\.|%2e){1,2}(?:;[^/?#]*)?(?:(?:/|\\\\|%2f|%5c|\\?|#).*)?';
/** All valid UTF-8 without a newline; rules never see other paths, so their prefixes are exact. */
const readable = '.*';
/** A host, with or without port: nothing that a server could take for two hosts or for a user name. */
export const plainHost = "[0-9A-Za-z._~%!$&'()*+;=:\\[\\]-]*";

/** Which rules a class has; at least one side is there. */
export type ClassRules =
  | { readonly kind: 'one'; readonly side: RuleSide; readonly rules: RuleSet }
  /** A request must pass both: egress in the routes, ingress in the RBAC filter. */
  | { readonly kind: 'both'; readonly egress: RuleSet; readonly ingress: RuleSet };

/** The route configuration of a class; its name is the class's. */
export function compileRoutes(name: string, rules: ClassRules): Compiled {
  try {
    const side = rules.kind === 'one' ? rules.side : 'egress';
    const routed = rules.kind === 'one' ? rules.rules : rules.egress;
    const passing = rules.kind === 'one' ? [] : rules.ingress.acting;
    const message = create(RouteConfigurationSchema, {
      name,
      virtualHosts: [
        {
          name,
          domains: ['*'],
          matcher: routeTree(side, routed, passing),
          ...(rules.kind === 'both' && {
            typedPerFilterConfig: { [verdictFilter]: anyPack(RBACPerRouteSchema, verdicts(rules.ingress)) },
          }),
        },
      ],
    });
    const bytes = toBinary(RouteConfigurationSchema, message);
    return { kind: 'compiled', resources: [{ typeUrl: typeUrls.routes, name, bytes }] };
  } catch (error) {
    if (!(error instanceof TooManyCombinations)) throw error;
    return { kind: 'refused', problem: { message: error.message, rules: error.rules } };
  }
}

/** Unreadable and traversing paths, hosts that are none, rules that act on headers, rules that only allow, refusal. */
function routeTree(side: RuleSide, rules: RuleSet, passing: readonly Condition[]): Matcher {
  const allow = (matched: readonly Condition[], rule: string | null): Matcher_OnMatch => {
    const end = (others: readonly Condition[]): Matcher_OnMatch =>
      headerBranches(
        [...matched, ...others].flatMap((condition) => condition.actions),
        (mismatched) => actionLeaf(allowRoute(side, rule, mismatched)),
      );
    return actionStage(passing, end, end([])) ?? end([]);
  };
  const refused = actionLeaf(denyRoute(side === 'egress' ? 'egress-rules' : 'ingress-rules'));
  const plain = verdictTree(rules.plain, (rule) => allow([], rule), refused);
  const acting = actionStage(rules.acting, (matched) => allow(matched, matched[0]?.rule ?? null), plain);
  const unsafePath = anyOf([
    headerMatchesRegex(':path', traversal),
    not(headerMatchesRegex(':path', readable)),
  ]);
  const tree = firstOf(
    [
      { predicate: unsafePath, onMatch: actionLeaf(denyRoute('path-traversal')) },
      {
        predicate: not(headerMatchesRegex(':authority', plainHost)),
        onMatch: actionLeaf(denyRoute('malformed-host')),
      },
    ],
    acting,
  );
  if (tree === null) throw new Error('a route tree always has its deny list');
  return tree;
}

/** Allows what one of the rules matches; what none matches is refused by the filter. */
function verdicts(rules: RuleSet): RBACPerRoute {
  const tree = verdictTree([...rules.plain, ...rules.acting], (rule) => actionLeaf(allowVerdict(rule)), null);
  if (tree === null) return create(RBACPerRouteSchema, { rbac: { rules: {} } });
  const matcher =
    tree.onMatch.case === 'matcher'
      ? tree.onMatch.value
      : firstOf([{ predicate: headerPresent(':method'), onMatch: tree }], null);
  return create(RBACPerRouteSchema, { rbac: { matcher: matcher ?? undefined } });
}
