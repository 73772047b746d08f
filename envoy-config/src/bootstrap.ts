import { create, type MessageInitShape, toJsonString } from '@bufbuild/protobuf';
import { envoyTypes } from '@weir/xds-ts';
import { BootstrapSchema } from '@weir/xds-ts/envoy/config/bootstrap/v3/bootstrap';
import { Cluster_DiscoveryType, type ClusterSchema } from '@weir/xds-ts/envoy/config/cluster/v3/cluster';
import { ApiConfigSource_ApiType, ApiVersion } from '@weir/xds-ts/envoy/config/core/v3/config_source';
import { DownstreamConnectionsConfigSchema } from '@weir/xds-ts/envoy/extensions/resource_monitors/downstream_connections/v3/downstream_connections';
import { FixedHeapConfigSchema } from '@weir/xds-ts/envoy/extensions/resource_monitors/fixed_heap/v3/fixed_heap';
import { HttpProtocolOptionsSchema } from '@weir/xds-ts/envoy/extensions/upstreams/http/v3/http_protocol_options';
import { accessLogCluster } from './access-log-config.ts';
import { duration } from './duration.ts';
import { extension, typedConfig } from './typed-config.ts';

/** Everything a bootstrap says. */
export interface BootstrapOptions {
  readonly nodeId: string;
  readonly nodeCluster: string;
  /** Unix socket for the admin interface; Envoy makes it. */
  readonly adminSocketPath: string;
  /** Unix socket of the ADS server. */
  readonly xdsSocketPath: string;
  /** Unix socket of the access log receiver. */
  readonly accessLogSocketPath: string;
  /** Heap at which Envoy refuses new connections and requests. */
  readonly maxHeapBytes: number;
  /** Downstream connections in all. */
  readonly maxConnections: number;
}

const xdsCluster = 'weir-xds';
/** A lost ADS stream is tried again within this time (DESIGN.md decision 11). */
const longestBackoffMs = 1_000;
const firstBackoffMs = 50;

/** The bootstrap of an Envoy that gets everything else over ADS: JSON text for Envoy's `-c`. */
export function envoyBootstrap(options: BootstrapOptions): string {
  const message = create(BootstrapSchema, {
    node: { id: options.nodeId, cluster: options.nodeCluster },
    admin: {
      address: { address: { case: 'pipe', value: { path: options.adminSocketPath, mode: 0o600 } } },
      // Whoever uses up the connections must not hide it.
      ignoreGlobalConnLimit: true,
    },
    staticResources: {
      clusters: [
        grpcCluster(xdsCluster, options.xdsSocketPath),
        grpcCluster(accessLogCluster, options.accessLogSocketPath),
      ],
    },
    dynamicResources: {
      adsConfig: {
        apiType: ApiConfigSource_ApiType.DELTA_GRPC,
        transportApiVersion: ApiVersion.V3,
        setNodeOnFirstMessageOnly: true,
        grpcServices: [
          {
            targetSpecifier: {
              case: 'envoyGrpc',
              value: {
                clusterName: xdsCluster,
                retryPolicy: {
                  retryBackOff: {
                    baseInterval: duration(firstBackoffMs),
                    maxInterval: duration(longestBackoffMs),
                  },
                },
              },
            },
          },
        ],
      },
      ldsConfig: overAds,
      cdsConfig: overAds,
    },
    overloadManager: overload(options),
    statsConfig: {
      statsMatcher: {
        statsMatcher: {
          case: 'exclusionList',
          // Per class: thousands of them would cost more memory than the classes themselves.
          value: { patterns: [{ matchPattern: { case: 'contains', value: '.rds.' } }] },
        },
      },
    },
  });
  return `${toJsonString(BootstrapSchema, message, { registry: envoyTypes(), prettySpaces: 2 })}\n`;
}

const overAds = {
  resourceApiVersion: ApiVersion.V3,
  configSourceSpecifier: { case: 'ads', value: {} },
} as const;

function unixSocket(path: string) {
  return { address: { case: 'pipe', value: { path } } } as const;
}

/** A gRPC server of this machine behind a unix socket. */
function grpcCluster(name: string, path: string): MessageInitShape<typeof ClusterSchema> {
  const http2 = typedConfig(
    'envoy.extensions.upstreams.http.v3.HttpProtocolOptions',
    HttpProtocolOptionsSchema,
    {
      upstreamProtocolOptions: {
        case: 'explicitHttpConfig',
        value: { protocolConfig: { case: 'http2ProtocolOptions', value: {} } },
      },
    },
  );
  return {
    name,
    clusterDiscoveryType: { case: 'type', value: Cluster_DiscoveryType.STATIC },
    connectTimeout: duration(1_000),
    loadAssignment: {
      clusterName: name,
      endpoints: [
        { lbEndpoints: [{ hostIdentifier: { case: 'endpoint', value: { address: unixSocket(path) } } }] },
      ],
    },
    typedExtensionProtocolOptions: { [http2.name]: http2.typedConfig },
  };
}

/** Connections are capped in all; near the heap limit new work is refused before the kernel kills Envoy. */
function overload({ maxConnections, maxHeapBytes }: BootstrapOptions) {
  const connections = extension(
    typedConfig(
      'envoy.resource_monitors.global_downstream_max_connections',
      DownstreamConnectionsConfigSchema,
      {
        maxActiveDownstreamConnections: BigInt(maxConnections),
      },
    ),
  );
  const heap = extension(
    typedConfig('envoy.resource_monitors.fixed_heap', FixedHeapConfigSchema, {
      maxHeapSizeBytes: BigInt(maxHeapBytes),
    }),
  );
  const above = (value: number) => [
    { name: heap.name, triggerOneof: { case: 'threshold', value: { value } } } as const,
  ];
  return {
    refreshInterval: duration(250),
    resourceMonitors: [heap, connections],
    actions: [
      { name: 'envoy.overload_actions.shrink_heap', triggers: above(0.9) },
      { name: 'envoy.overload_actions.stop_accepting_connections', triggers: above(0.95) },
      { name: 'envoy.overload_actions.stop_accepting_requests', triggers: above(0.98) },
    ],
  };
}
