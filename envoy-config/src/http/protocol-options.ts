import type { MessageInitShape } from '@bufbuild/protobuf';
import type {
  Http1ProtocolOptionsSchema,
  Http2ProtocolOptionsSchema,
} from '@weir/xds-ts/envoy/config/core/v3/protocol';
import { PreserveCaseFormatterConfigSchema } from '@weir/xds-ts/envoy/extensions/http/header_formatters/preserve_case/v3/preserve_case';
import type { ProxyLimits } from '../settings.ts';
import { typedConfig } from '../typed-config.ts';

/** Host header that a request without one (HTTP/1.0) is given: reserved, so that no rule means it. */
const hostForHttp10 = 'http10.invalid';

/** HTTP/1 on both sides: as little changed as Envoy can. */
export function http1Options(): MessageInitShape<typeof Http1ProtocolOptionsSchema> {
  return {
    acceptHttp10: true,
    defaultHostForHttp10: hostForHttp10,
    enableTrailers: true,
    allowCustomMethods: true,
    overrideStreamErrorOnInvalidHttpMessage: false,
    headerKeyFormat: {
      headerFormat: {
        case: 'statefulFormatter',
        value: typedConfig(
          'envoy.http.stateful_header_formatters.preserve_case',
          PreserveCaseFormatterConfigSchema,
          {
            forwardReasonPhrase: true,
          },
        ),
      },
    },
  };
}

/** HTTP/2 on both sides. A malformed message ends its stream, not the connection with its other streams. */
export function http2Options(limits: ProxyLimits): MessageInitShape<typeof Http2ProtocolOptionsSchema> {
  return {
    allowConnect: true,
    maxConcurrentStreams: limits.http2ConcurrentStreams,
    initialStreamWindowSize: limits.http2StreamWindowBytes,
    initialConnectionWindowSize: limits.http2ConnectionWindowBytes,
    overrideStreamErrorOnInvalidHttpMessage: true,
  };
}
