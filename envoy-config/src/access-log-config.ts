import { ApiVersion } from '@weir/xds-ts/envoy/config/core/v3/config_source';
import { HttpGrpcAccessLogConfigSchema } from '@weir/xds-ts/envoy/extensions/access_loggers/grpc/v3/als';
import { duration } from './duration.ts';
import { type Extension, extension, typedConfig } from './typed-config.ts';

/** Name of the bootstrap's cluster that leads to the access log receiver. */
export const accessLogCluster = 'weir-access-log';
/** Tag of each record that holds the class id. */
export const classTag = 'class';
/** Tag of each record that holds the method; Envoy's own field only knows the standard ones. */
export const methodTag = 'method';

/** A record waits at most so long in Envoy. */
const flushIntervalMs = 200;
/** Records of one worker that may wait; what comes on top while nobody takes them is dropped and counted. */
const bufferBytes = 256 * 1024;

/**
 * The access log of every class. It is the same message for all, so that Envoy keeps one stream per
 * worker and not one per class; the class comes from the name of the filter chain.
 */
export function accessLog(): Extension {
  return extension(
    typedConfig('envoy.access_loggers.http_grpc', HttpGrpcAccessLogConfigSchema, {
      commonConfig: {
        logName: 'weir',
        transportApiVersion: ApiVersion.V3,
        grpcService: { targetSpecifier: { case: 'envoyGrpc', value: { clusterName: accessLogCluster } } },
        bufferFlushInterval: duration(flushIntervalMs),
        bufferSizeBytes: bufferBytes,
        customTags: [
          { tag: classTag, type: { case: 'value', value: '%FILTER_CHAIN_NAME%' } },
          { tag: methodTag, type: { case: 'value', value: '%REQ(:METHOD)%' } },
        ],
      },
    }),
  );
}
