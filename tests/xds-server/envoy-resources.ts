// Small resources for a real Envoy: listeners on unix sockets, routes that answer by themselves.
import { create } from '@bufbuild/protobuf';
import { anyPack } from '@bufbuild/protobuf/wkt';
import { type Resource, resource, type Variant } from '@weir/xds-server';
import { Cluster_DiscoveryType, ClusterSchema } from '@weir/xds-ts/envoy/config/cluster/v3/cluster';
import {
  ApiConfigSource_ApiType,
  ApiVersion,
  type ConfigSource,
  ConfigSourceSchema,
} from '@weir/xds-ts/envoy/config/core/v3/config_source';
import { ClusterLoadAssignmentSchema } from '@weir/xds-ts/envoy/config/endpoint/v3/endpoint';
import { ListenerSchema } from '@weir/xds-ts/envoy/config/listener/v3/listener';
import { RouteConfigurationSchema } from '@weir/xds-ts/envoy/config/route/v3/route';
import { RouterSchema } from '@weir/xds-ts/envoy/extensions/filters/http/router/v3/router';
import { HttpConnectionManagerSchema } from '@weir/xds-ts/envoy/extensions/filters/network/http_connection_manager/v3/http_connection_manager';

const ads = create(ConfigSourceSchema, {
  configSourceSpecifier: { case: 'ads', value: {} },
  resourceApiVersion: ApiVersion.V3,
});

/** A source of its own: one stream for each subscription. */
export function ownSource(variant: Variant): ConfigSource {
  return create(ConfigSourceSchema, {
    resourceApiVersion: ApiVersion.V3,
    configSourceSpecifier: {
      case: 'apiConfigSource',
      value: {
        apiType: variant === 'delta' ? ApiConfigSource_ApiType.DELTA_GRPC : ApiConfigSource_ApiType.GRPC,
        transportApiVersion: ApiVersion.V3,
        grpcServices: [{ targetSpecifier: { case: 'envoyGrpc', value: { clusterName: 'xds' } } }],
      },
    },
  });
}

/** A listener on a unix socket whose routes come by RDS. An empty path makes one that Envoy refuses. */
export function listener(name: string, path: string, routes: string, source: ConfigSource = ads): Resource {
  const router = {
    name: 'router',
    configType: { case: 'typedConfig', value: anyPack(RouterSchema, create(RouterSchema)) },
  } as const;
  const manager = create(HttpConnectionManagerSchema, {
    statPrefix: name,
    routeSpecifier: { case: 'rds', value: { routeConfigName: routes, configSource: source } },
    httpFilters: [router],
  });
  const message = create(ListenerSchema, {
    name,
    address: { address: { case: 'pipe', value: { path } } },
    filterChains: [
      {
        filters: [
          {
            name: 'http',
            configType: { case: 'typedConfig', value: anyPack(HttpConnectionManagerSchema, manager) },
          },
        ],
      },
    ],
  });
  return resource(ListenerSchema, name, message);
}

/** Routes that answer every request with a text. */
export function routes(name: string, text: string): Resource {
  return resource(
    RouteConfigurationSchema,
    name,
    create(RouteConfigurationSchema, {
      name,
      virtualHosts: [
        {
          name: 'all',
          domains: ['*'],
          routes: [
            {
              match: { pathSpecifier: { case: 'prefix', value: '/' } },
              action: {
                case: 'directResponse',
                value: { status: 200, body: { specifier: { case: 'inlineString', value: text } } },
              },
            },
          ],
        },
      ],
    }),
  );
}

/** Routes that forward to a cluster. */
export function routesTo(name: string, cluster: string): Resource {
  return resource(
    RouteConfigurationSchema,
    name,
    create(RouteConfigurationSchema, {
      name,
      virtualHosts: [
        {
          name: 'all',
          domains: ['*'],
          routes: [
            {
              match: { pathSpecifier: { case: 'prefix', value: '/' } },
              action: { case: 'route', value: { clusterSpecifier: { case: 'cluster', value: cluster } } },
            },
          ],
        },
      ],
    }),
  );
}

/** A cluster whose endpoints come by EDS. */
export function edsCluster(name: string, connectSeconds: number): Resource {
  const message = create(ClusterSchema, {
    name,
    connectTimeout: { seconds: BigInt(connectSeconds) },
    clusterDiscoveryType: { case: 'type', value: Cluster_DiscoveryType.EDS },
    edsClusterConfig: { edsConfig: ads },
  });
  return resource(ClusterSchema, name, message);
}

/** One endpoint on a unix socket. */
export function endpoints(cluster: string, path: string): Resource {
  const message = create(ClusterLoadAssignmentSchema, {
    clusterName: cluster,
    endpoints: [
      {
        lbEndpoints: [
          {
            hostIdentifier: {
              case: 'endpoint',
              value: { address: { address: { case: 'pipe', value: { path } } } },
            },
          },
        ],
      },
    ],
  });
  return resource(ClusterLoadAssignmentSchema, cluster, message);
}
