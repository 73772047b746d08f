import { create, type MessageInitShape, toBinary } from '@bufbuild/protobuf';
import { anyPack } from '@bufbuild/protobuf/wkt';
import { createClassCompiler, type EnvoyResource, originalDestination, typeUrls } from '@weir/envoy-config';
import type { HttpRule, L7Class, L7Slot } from '@weir/l7-policy';
import type { PermissionSchema, PolicySchema } from '@weir/xds-ts/envoy/config/rbac/v3/rbac';
import { RouteConfigurationSchema } from '@weir/xds-ts/envoy/config/route/v3/route';
import type {
  HeaderMatcherSchema,
  RouteMatchSchema,
  VirtualHostSchema,
} from '@weir/xds-ts/envoy/config/route/v3/route_components';
import { RBACPerRouteSchema } from '@weir/xds-ts/envoy/extensions/filters/http/rbac/v3/rbac';

/** How a set of rules is given to Envoy. */
export type Encoding = 'none' | 'weir' | 'rbac' | 'routes';

const compiler = createClassCompiler(() => '');
const refusal = {
  status: 403,
  body: { specifier: { case: 'inlineString', value: 'Access denied\r\n' } },
} as const;
const anything = { pathSpecifier: { case: 'prefix', value: '/' } } as const;
const forward = { clusterSpecifier: { case: 'cluster', value: originalDestination }, timeout: {} } as const;

/** The route configuration of a class under an encoding. */
export function encode(encoding: Encoding, name: string, rules: readonly HttpRule[]): EnvoyResource {
  if (encoding === 'weir') return compiled(name, rules);
  const message = create(RouteConfigurationSchema, {
    name,
    virtualHosts: [virtualHost(encoding, name, rules)],
  });
  return { typeUrl: typeUrls.routes, name, bytes: toBinary(RouteConfigurationSchema, message) };
}

/** As the agent does it. */
export function compiled(name: string, rules: readonly HttpRule[]): EnvoyResource {
  const routes = compiler.compileRoutes({ ...benchClass(name), ingress: [slot(rules)] });
  const [resource] = routes.kind === 'compiled' ? routes.resources : [];
  if (resource === undefined) throw new Error('the rules are refused');
  return resource;
}

/** A class without content; its listener has the RBAC filter when `pair`. */
export function benchClass(name: string) {
  return { id: name as L7Class['id'], kind: 'http', egress: null, ingress: [] } as const;
}

function slot(rules: readonly HttpRule[]): L7Slot {
  const source = { file: 'bench.yaml', line: 1, column: 1, policy: 'bench/bench' };
  return {
    id: 'slot' as L7Slot['id'],
    direction: 'ingress',
    kind: 'http',
    rules,
    tls: null,
    source,
    digest: '',
  };
}

function virtualHost(
  encoding: Exclude<Encoding, 'weir'>,
  name: string,
  rules: readonly HttpRule[],
): MessageInitShape<typeof VirtualHostSchema> {
  const allow = { match: anything, action: { case: 'route', value: forward } } as const;
  const host = { name, domains: ['*'] };
  switch (encoding) {
    case 'none':
      return { ...host, routes: [allow] };
    case 'routes':
      return {
        ...host,
        routes: [
          ...rules.map((each) => ({ name: each.id, match: match(each), action: allow.action })),
          { match: anything, action: { case: 'directResponse', value: refusal } as const },
        ],
      };
    case 'rbac':
      return {
        ...host,
        routes: [allow],
        typedPerFilterConfig: {
          'envoy.filters.http.rbac': anyPack(
            RBACPerRouteSchema,
            create(RBACPerRouteSchema, { rbac: { rules: { policies: policies(rules) } } }),
          ),
        },
      };
  }
}

function match({ path, method }: HttpRule): MessageInitShape<typeof RouteMatchSchema> {
  return {
    pathSpecifier: { case: 'safeRegex', value: { regex: path ?? '.*' } },
    headers: [methodHeader(method)],
  };
}

function methodHeader(method: string | null): MessageInitShape<typeof HeaderMatcherSchema> {
  const stringMatch = { matchPattern: { case: 'exact', value: method ?? '' } } as const;
  return { name: ':method', headerMatchSpecifier: { case: 'stringMatch', value: stringMatch } };
}

/** A policy for each rule, as Cilium's and Istio's authors would write it for Envoy. */
function policies(rules: readonly HttpRule[]): Record<string, MessageInitShape<typeof PolicySchema>> {
  const any = { identifier: { case: 'any', value: true } } as const;
  return Object.fromEntries(
    rules.map((each) => [
      each.id,
      {
        permissions: [{ rule: { case: 'andRules', value: { rules: conditions(each) } } as const }],
        principals: [any],
      },
    ]),
  );
}

function conditions(each: HttpRule): MessageInitShape<typeof PermissionSchema>[] {
  return [
    { rule: { case: 'header', value: methodHeader(each.method) } },
    {
      rule: {
        case: 'urlPath',
        value: {
          rule: {
            case: 'path',
            value: { matchPattern: { case: 'safeRegex', value: { regex: each.path ?? '.*' } } },
          },
        },
      },
    },
  ];
}
