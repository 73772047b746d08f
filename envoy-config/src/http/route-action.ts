import { create, type MessageInitShape, toBinary } from '@bufbuild/protobuf';
import { anyPack } from '@bufbuild/protobuf/wkt';
import { typeUrlOf } from '@weir/xds-ts';
import { HeaderValueOption_HeaderAppendAction as Append } from '@weir/xds-ts/envoy/config/core/v3/base';
import { ActionSchema, RBAC_Action } from '@weir/xds-ts/envoy/config/rbac/v3/rbac';
import { RouteSchema } from '@weir/xds-ts/envoy/config/route/v3/route_components';
import { originalDestination } from '../cluster.ts';
import type { HeaderAction } from './condition.ts';
import type { Action } from './matcher.ts';
import { formatRouteName, type RouteDenial, type RouteName, type RuleSide } from './route-name.ts';

/** The body of every refusal. */
export const refusalBody = 'Access denied\r\n';

/** A route that refuses. */
export function denyRoute(reason: RouteDenial): Action {
  return routeAction({
    name: formatRouteName({ kind: 'deny', reason }),
    match: { pathSpecifier: { case: 'prefix', value: '/' } },
    action: {
      case: 'directResponse',
      value: { status: 403, body: { specifier: { case: 'inlineString', value: refusalBody } } },
    },
  });
}

/** A route to the original destination that makes the header changes of the actions whose header mismatched. */
export function allowRoute(side: RuleSide, rule: string | null, mismatched: readonly HeaderAction[]): Action {
  const mismatches = [...new Set(mismatched.map((action) => action.name))].sort();
  const added = mismatched.filter((action) => action.kind === 'add' || action.kind === 'replace');
  const name: RouteName = { kind: 'allow', side, rule, mismatches };
  return routeAction({
    name: formatRouteName(name),
    match: { pathSpecifier: { case: 'prefix', value: '/' } },
    action: {
      case: 'route',
      value: { clusterSpecifier: { case: 'cluster', value: originalDestination }, timeout: { seconds: 0n } },
    },
    requestHeadersToAdd: added.map(({ kind, name, value }) => ({
      header: { key: name, value: value.replaceAll('%', '%%') },
      appendAction: kind === 'add' ? Append.APPEND_IF_EXISTS_OR_ADD : Append.OVERWRITE_IF_EXISTS_OR_ADD,
      keepEmptyValue: true,
    })),
    requestHeadersToRemove: mismatched
      .filter((action) => action.kind === 'delete' && action.value !== '')
      .map((action) => action.name),
  });
}

/** A verdict of the RBAC filter; `*` where a combined regex hides the rule. */
export function allowVerdict(rule: string | null): Action {
  const action = create(ActionSchema, { name: rule ?? '*', action: RBAC_Action.ALLOW });
  return { name: 'verdict', typedConfig: anyPack(ActionSchema, action) };
}

function routeAction(route: MessageInitShape<typeof RouteSchema>): Action {
  return {
    name: 'route',
    typedConfig: {
      typeUrl: typeUrlOf(RouteSchema),
      value: toBinary(RouteSchema, create(RouteSchema, route)),
    },
  };
}
