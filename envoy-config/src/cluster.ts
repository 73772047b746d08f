import { create, toBinary } from '@bufbuild/protobuf';
import {
  Cluster_DiscoveryType,
  Cluster_LbPolicy,
  ClusterSchema,
} from '@weir/xds-ts/envoy/config/cluster/v3/cluster';
import { HttpProtocolOptionsSchema } from '@weir/xds-ts/envoy/extensions/upstreams/http/v3/http_protocol_options';
import { duration } from './duration.ts';
import { http1Options, http2Options } from './http/protocol-options.ts';
import { type EnvoyResource, typeUrls } from './resource.ts';
import type { ProxySettings } from './settings.ts';
import { markOption } from './socket-mark.ts';
import { typedConfig } from './typed-config.ts';

/** Name of the cluster that leads every class to the address its client wanted. */
export const originalDestination = 'weir-original-destination';

/**
 * The cluster of all classes. An upstream connection belongs to one downstream connection, so that the
 * kernel can judge and reset the two together, and speaks the protocol of its downstream.
 */
export function compileCluster({ proxyMark, limits }: ProxySettings): EnvoyResource {
  const protocol = typedConfig(
    'envoy.extensions.upstreams.http.v3.HttpProtocolOptions',
    HttpProtocolOptionsSchema,
    {
      commonHttpProtocolOptions: {
        maxHeadersCount: limits.responseHeadersCount,
        idleTimeout: duration(limits.upstreamIdleTimeoutMs),
      },
      upstreamProtocolOptions: {
        case: 'useDownstreamProtocolConfig',
        value: { httpProtocolOptions: http1Options(), http2ProtocolOptions: http2Options(limits) },
      },
    },
  );
  const most = limits.clusterConcurrency;
  const message = create(ClusterSchema, {
    name: originalDestination,
    clusterDiscoveryType: { case: 'type', value: Cluster_DiscoveryType.ORIGINAL_DST },
    lbPolicy: Cluster_LbPolicy.CLUSTER_PROVIDED,
    connectTimeout: duration(limits.connectTimeoutMs),
    perConnectionBufferLimitBytes: limits.connectionBufferBytes,
    connectionPoolPerDownstreamConnection: true,
    upstreamBindConfig: { socketOptions: [markOption(proxyMark)] },
    circuitBreakers: {
      thresholds: [{ maxConnections: most, maxPendingRequests: most, maxRequests: most, maxRetries: most }],
    },
    typedExtensionProtocolOptions: { [protocol.name]: protocol.typedConfig },
  });
  return {
    typeUrl: typeUrls.cluster,
    name: originalDestination,
    bytes: toBinary(ClusterSchema, message),
  };
}
