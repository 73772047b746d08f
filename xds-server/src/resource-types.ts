/** What xDS says of a resource type. Types that are not listed work too: no order, no service of their own. */
export interface ResourceType {
  /** Place in the order of updates (make before break); null: needs no order. */
  readonly rank: number | null;
  /** State-of-the-world sends everything each time, and what is missing is deleted. */
  readonly fullState: boolean;
}

const envoy = (name: string): string => `type.googleapis.com/envoy.${name}`;

/** Type URLs of the resource types that have services of their own. */
export const typeUrls = Object.freeze({
  cluster: envoy('config.cluster.v3.Cluster'),
  endpoint: envoy('config.endpoint.v3.ClusterLoadAssignment'),
  localityEndpoint: envoy('config.endpoint.v3.LbEndpoint'),
  listener: envoy('config.listener.v3.Listener'),
  route: envoy('config.route.v3.RouteConfiguration'),
  scopedRoute: envoy('config.route.v3.ScopedRouteConfiguration'),
  virtualHost: envoy('config.route.v3.VirtualHost'),
  secret: envoy('extensions.transport_sockets.tls.v3.Secret'),
  extension: envoy('config.core.v3.TypedExtensionConfig'),
  runtime: envoy('service.runtime.v3.Runtime'),
});

const ordered: ReadonlyMap<string, ResourceType> = new Map([
  [typeUrls.cluster, { rank: 0, fullState: true }],
  [typeUrls.endpoint, { rank: 1, fullState: false }],
  [typeUrls.localityEndpoint, { rank: 1, fullState: false }],
  [typeUrls.listener, { rank: 2, fullState: true }],
  [typeUrls.scopedRoute, { rank: 3, fullState: true }],
  [typeUrls.route, { rank: 3, fullState: false }],
  [typeUrls.virtualHost, { rank: 4, fullState: false }],
]);
const other: ResourceType = Object.freeze({ rank: null, fullState: false });

export function resourceType(typeUrl: string): ResourceType {
  return ordered.get(typeUrl) ?? other;
}
