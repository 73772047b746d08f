import type { Variant } from './events.ts';
import { typeUrls } from './resource-types.ts';

/** A streaming method of one of Envoy's discovery services. */
export interface DiscoveryMethod {
  readonly service: string;
  readonly method: string;
  readonly variant: Variant;
  /** Null: each request names its type. */
  readonly typeUrl: string | null;
}

const single: readonly (readonly [service: string, method: string, typeUrl: string])[] = [
  ['cluster.v3.ClusterDiscoveryService', 'Clusters', typeUrls.cluster],
  ['endpoint.v3.EndpointDiscoveryService', 'Endpoints', typeUrls.endpoint],
  ['listener.v3.ListenerDiscoveryService', 'Listeners', typeUrls.listener],
  ['route.v3.RouteDiscoveryService', 'Routes', typeUrls.route],
  ['route.v3.ScopedRoutesDiscoveryService', 'ScopedRoutes', typeUrls.scopedRoute],
  ['secret.v3.SecretDiscoveryService', 'Secrets', typeUrls.secret],
  ['extension.v3.ExtensionConfigDiscoveryService', 'ExtensionConfigs', typeUrls.extension],
  ['runtime.v3.RuntimeDiscoveryService', 'Runtime', typeUrls.runtime],
];

/** Types that only delta serves. */
const deltaOnly: readonly (readonly [service: string, method: string, typeUrl: string])[] = [
  ['route.v3.VirtualHostDiscoveryService', 'VirtualHosts', typeUrls.virtualHost],
  ['endpoint.v3.LocalityEndpointDiscoveryService', 'LocalityEndpoints', typeUrls.localityEndpoint],
];

const aggregated = 'envoy.service.discovery.v3.AggregatedDiscoveryService';

/** Every discovery method that the server answers. */
export const discoveryMethods: readonly DiscoveryMethod[] = Object.freeze([
  { service: aggregated, method: 'StreamAggregatedResources', variant: 'sotw', typeUrl: null },
  { service: aggregated, method: 'DeltaAggregatedResources', variant: 'delta', typeUrl: null },
  ...single.map(
    ([service, method, typeUrl]) =>
      ({ service: `envoy.service.${service}`, method: `Stream${method}`, variant: 'sotw', typeUrl }) as const,
  ),
  ...[...single, ...deltaOnly].map(
    ([service, method, typeUrl]) =>
      ({ service: `envoy.service.${service}`, method: `Delta${method}`, variant: 'delta', typeUrl }) as const,
  ),
]);
