import { RouteConfigurationSchema } from '@weir/xds-ts/envoy/config/route/v3/route';
import { VirtualHostSchema } from '@weir/xds-ts/envoy/config/route/v3/route_components';
import { type Compiled, typeUrls } from '../resource.ts';
import { field, joined, size, written } from '../wire.ts';
import { actionStage, headerBranches, TooManyCombinations } from './action-stage.ts';
import type { Condition } from './condition.ts';
import { headerLogConfig } from './header-log.ts';
import {
  actionLeaf,
  anyOf,
  firstOf,
  headerMatchesRegex,
  type Matcher,
  not,
  type OnMatch,
} from './matcher.ts';
import type { Memory } from './memory.ts';
import { allowRoute, denyRoute } from './route-action.ts';
import type { RuleSide } from './route-name.ts';
import type { RuleSet } from './rule-set.ts';
import { verdictConfig } from './verdict-filter.ts';
import { verdictTree } from './verdict-tree.ts';

/** Every spelling of a slash or backslash, of a dot and of a semicolon; overlong UTF-8 is one of them. */
const slash = '(?:/|\\\\|%2f|%5c|%c0%af|%e0%80%af|%c1%9c)';
const dot = '(?:\\.|%2e|%c0%ae|%e0%80%ae)';
const semicolon = '(?:;|%3b)';
/**
 * Paths that a server may read as another one than the rules see: a dot segment, plain or encoded, after
 * any kind of slash, with or without a path parameter. Full match over `:path`.
 */
export const traversal = `(?i)[^?#]*${slash}${dot}{1,2}(?:${semicolon}[^/?#]*)?(?:(?:${slash}|\\?|#).*)?`;
/** All valid UTF-8 without a newline; rules never see other paths, so their prefixes are exact. */
const readable = '.*';
/** A host, with or without port: nothing that a server could take for two hosts or for a user name. */
export const plainHost = "[0-9A-Za-z._~%!$&'()*+;=:\\[\\]-]*";

/** Which rules a class has; at least one side is there. */
export type ClassRules =
  | { readonly kind: 'one'; readonly side: RuleSide; readonly rules: RuleSet }
  /** A request must pass both: egress in the routes, ingress in the RBAC filter. */
  | { readonly kind: 'both'; readonly egress: RuleSet; readonly ingress: RuleSet };

const routeConfiguration = RouteConfigurationSchema.field;
const virtualHost = VirtualHostSchema.field;

/** The route configuration of a class; its name is the class's. */
export function compileRoutes(name: string, rules: ClassRules, memory: Memory): Compiled {
  try {
    const side = rules.kind === 'one' ? rules.side : 'egress';
    const routed = rules.kind === 'one' ? rules.rules : rules.egress;
    const passing = rules.kind === 'one' ? [] : rules.ingress.acting;
    const all = rules.kind === 'one' ? [routed] : [routed, rules.ingress];
    const filters = [
      headerLogConfig(all.flatMap(({ plain, acting }) => [...plain, ...acting])),
      rules.kind === 'both' ? verdictConfig(rules.ingress, memory) : null,
    ];
    const host = joined(
      field(virtualHost.name.number, name),
      field(virtualHost.domains.number, '*'),
      field(virtualHost.matcher.number, routeTree(side, routed, passing, memory)),
      ...filters.flatMap((config) =>
        config === null ? [] : [field(virtualHost.typedPerFilterConfig.number, config)],
      ),
    );
    const message = joined(
      field(routeConfiguration.name.number, name),
      field(routeConfiguration.virtualHosts.number, host),
    );
    if (size(message) > maxRouteBytes) return tooLarge(all);
    const bytes = written(message);
    return { kind: 'compiled', resources: [{ typeUrl: typeUrls.routes, name, bytes }] };
  } catch (error) {
    if (!(error instanceof TooManyCombinations)) throw error;
    return { kind: 'refused', problem: { message: error.message, rules: error.rules } };
  }
}

/** A route configuration of more would hold up Envoy's main thread for seconds with each edit. */
export const maxRouteBytes = 32 * 1024 * 1024;

/** Each header action doubles the ways in which a request can match, and each way is a route. */
const maxBranches = 20_000;

function tooLarge(sides: readonly RuleSet[]): Compiled {
  const acting = sides.flatMap((rules) => rules.acting.map(({ rule }) => rule));
  const cause = acting.length === 0 ? 'fewer rules' : 'fewer rules with header actions, or fewer beside them';
  const message = `the rules make more than ${maxRouteBytes / 1024 / 1024} MiB of routes; use ${cause}`;
  return { kind: 'refused', problem: { message, rules: acting } };
}

/** Unreadable and traversing paths, hosts that are none, rules that act on headers, rules that only allow, refusal. */
function routeTree(side: RuleSide, rules: RuleSet, passing: readonly Condition[], memory: Memory): Matcher {
  let branches = 0;
  const branch = (): void => {
    branches += 1;
    if (branches <= maxBranches) return;
    const what = `the header actions of these rules combine in more than the ${maxBranches} ways that`;
    throw new TooManyCombinations(what, [...rules.acting, ...passing]);
  };
  const allow = (matched: readonly Condition[], rule: string): OnMatch => {
    const end = (others: readonly Condition[]): OnMatch => {
      const actions = [...matched, ...others].flatMap((condition) => condition.actions);
      return headerBranches(actions, (mismatched) => {
        if (actions.length > 0) branch();
        return actionLeaf(allowRoute(side, rule, mismatched, memory));
      });
    };
    return actionStage(passing, end, end([])) ?? end([]);
  };
  const refused = actionLeaf(denyRoute(side === 'egress' ? 'egress-rules' : 'ingress-rules'));
  const entries = passing.length === 0 ? memory.entries[side] : null;
  const plain = verdictTree(rules.plain, (rule) => allow([], rule), refused, memory, entries);
  const acting = actionStage(rules.acting, (matched) => allow(matched, matched[0].rule), plain);
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
