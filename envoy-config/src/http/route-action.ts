import { create, type MessageInitShape, toBinary } from '@bufbuild/protobuf';
import { AnySchema } from '@bufbuild/protobuf/wkt';
import { typeUrlOf } from '@weir/xds-ts';
import { HeaderValueOption_HeaderAppendAction as Append } from '@weir/xds-ts/envoy/config/core/v3/base';
import { ActionSchema, RBAC_Action } from '@weir/xds-ts/envoy/config/rbac/v3/rbac';
import { RouteSchema } from '@weir/xds-ts/envoy/config/route/v3/route_components';
import { TypedExtensionConfigSchema } from '@weir/xds-ts/xds/core/v3/extension';
import { originalDestination } from '../cluster.ts';
import { type Encoded, field, joined, written } from '../wire.ts';
import type { HeaderAction } from './condition.ts';
import type { Action } from './matcher.ts';
import type { Memory } from './memory.ts';
import { formatRouteName, type RouteDenial, type RouteName, type RuleSide } from './route-name.ts';

/** The body of every refusal. */
export const refusalBody = 'Access denied\r\n';

/** A route that refuses. */
export function denyRoute(reason: RouteDenial): Action {
  return routeAction(
    { kind: 'deny', reason },
    encodedRoute({
      action: {
        case: 'directResponse',
        value: { status: 403, body: { specifier: { case: 'inlineString', value: refusalBody } } },
      },
    }),
  );
}

/** A route to the original destination that makes the header changes of the actions whose header mismatched. */
export function allowRoute(
  side: RuleSide,
  rule: string,
  mismatched: readonly HeaderAction[],
  memory: Memory,
): Action {
  const mismatches = [...new Set(mismatched.map((action) => action.name))].sort();
  const name: RouteName = { kind: 'allow', side, rule, mismatches };
  if (mismatched.length === 0) {
    return memory.actions.of(formatRouteName(name), () => written(routeAction(name, plainRoute)));
  }
  // Envoy replaces before it adds. By name and value, so that what conflicts comes out as the engine explains it.
  const added = mismatched
    .filter((action) => action.kind === 'add' || action.kind === 'replace')
    .sort(byNameAndValue);
  const changes = encodedRoute({
    requestHeadersToAdd: added.map(({ kind, name: key, value }) => ({
      header: { key, value: value.replaceAll('%', '%%') },
      appendAction: kind === 'add' ? Append.APPEND_IF_EXISTS_OR_ADD : Append.OVERWRITE_IF_EXISTS_OR_ADD,
      keepEmptyValue: true,
    })),
    requestHeadersToRemove: mismatched
      .filter((action) => action.kind === 'delete' && action.value !== '')
      .map((action) => action.name),
  });
  return routeAction(name, joined(plainRoute, changes));
}

/** A verdict of the RBAC filter. */
export function allowVerdict(rule: string, memory: Memory): Action {
  return memory.actions.of(`verdict:${rule}`, () => {
    const action = toBinary(ActionSchema, create(ActionSchema, { name: rule, action: RBAC_Action.ALLOW }));
    return written(typedAction(typeUrlOf(ActionSchema), action));
  });
}

function byNameAndValue(left: HeaderAction, right: HeaderAction): number {
  const [one, other] = [left, right].map(({ name, value }) => JSON.stringify([name, value]));
  return (one ?? '') < (other ?? '') ? -1 : 1;
}

function encodedRoute(route: MessageInitShape<typeof RouteSchema>): Encoded {
  return joined(toBinary(RouteSchema, create(RouteSchema, route)));
}

/** A matcher has found the route already; what the route itself matches is everything. */
const everything = encodedRoute({ match: { pathSpecifier: { case: 'prefix', value: '/' } } });
const plainRoute = encodedRoute({
  action: {
    case: 'route',
    value: { clusterSpecifier: { case: 'cluster', value: originalDestination }, timeout: { seconds: 0n } },
  },
});

function routeAction(name: RouteName, route: Encoded): Action {
  const named = field(RouteSchema.field.name.number, formatRouteName(name));
  return typedAction(typeUrlOf(RouteSchema), joined(everything, route, named));
}

function typedAction(typeUrl: string, message: Encoded): Action {
  const any = joined(
    field(AnySchema.field.typeUrl.number, typeUrl),
    field(AnySchema.field.value.number, message),
  );
  const { name, typedConfig } = TypedExtensionConfigSchema.field;
  return joined(field(name.number, 'to'), field(typedConfig.number, any));
}
