import type { MessageInitShape } from '@bufbuild/protobuf';
import { ApiVersion } from '@weir/xds-ts/envoy/config/core/v3/config_source';
import { ExpressionFilterSchema } from '@weir/xds-ts/envoy/extensions/access_loggers/filters/cel/v3/cel';
import { RouterSchema } from '@weir/xds-ts/envoy/extensions/filters/http/router/v3/router';
import {
  HttpConnectionManager_ForwardClientCertDetails as ClientCert,
  HttpConnectionManager_CodecType as Codec,
  HttpConnectionManager_PathWithEscapedSlashesAction as EscapedSlashes,
  type HttpConnectionManagerSchema,
  HttpConnectionManager_ServerHeaderTransformation as ServerHeader,
} from '@weir/xds-ts/envoy/extensions/filters/network/http_connection_manager/v3/http_connection_manager';
import { accessLog } from '../access-log-config.ts';
import { duration } from '../duration.ts';
import type { ListenerInput } from '../listener-input.ts';
import type { ProxySettings } from '../settings.ts';
import { extension, typedConfig } from '../typed-config.ts';
import { keepForwardedProto, restoreForwardedProto } from './forwarded-proto.ts';
import { http1Options, http2Options } from './protocol-options.ts';
import { refusalBody } from './route-action.ts';
import { verdictFilterOf } from './verdict-filter.ts';

/** Replies that Envoy makes where policy refuses; they get the words of every refusal. */
const refusals =
  'response.code_details in ["upgrade_failed", "route_not_found", "absolute_path_rejected"] || ' +
  'response.code_details.startsWith("rbac_access_denied")';

/**
 * The HTTP side of a class: changes as little as Envoy can of what passes, and leaves no room for a
 * request that the rules read differently than the server. docs/security.md says what each field is for.
 */
export function connectionManager(
  { classId, pair }: ListenerInput,
  settings: ProxySettings,
): MessageInitShape<typeof HttpConnectionManagerSchema> {
  const { limits } = settings;
  const router = extension(
    typedConfig('envoy.filters.http.router', RouterSchema, { suppressEnvoyHeaders: true }),
  );
  return {
    codecType: Codec.AUTO,
    statPrefix: 'weir',
    routeSpecifier: {
      case: 'rds',
      value: {
        routeConfigName: classId,
        configSource: {
          resourceApiVersion: ApiVersion.V3,
          configSourceSpecifier: { case: 'ads', value: {} },
          initialFetchTimeout: duration(0),
        },
      },
    },
    earlyHeaderMutationExtensions: [keepForwardedProto()],
    httpFilters: [...(pair ? [verdictFilterOf()] : []), restoreForwardedProto(), router],
    httpProtocolOptions: http1Options(),
    http2ProtocolOptions: http2Options(limits),
    commonHttpProtocolOptions: { idleTimeout: duration(0), maxHeadersCount: limits.requestHeadersCount },
    maxRequestHeadersKb: limits.requestHeadersKiB,
    requestHeadersTimeout: duration(limits.requestHeadersTimeoutMs),
    requestTimeout: duration(0),
    streamIdleTimeout: duration(0),
    normalizePath: true,
    mergeSlashes: false,
    pathWithEscapedSlashesAction: EscapedSlashes.KEEP_UNCHANGED,
    upgradeConfigs: [{ upgradeType: 'websocket' }],
    proxy100Continue: true,
    useRemoteAddress: false,
    skipXffAppend: true,
    internalAddressConfig: {
      unixSockets: false,
      cidrRanges: [{ addressPrefix: '255.255.255.255', prefixLen: 32 }],
    },
    forwardClientCertDetails: ClientCert.ALWAYS_FORWARD_ONLY,
    generateRequestId: false,
    preserveExternalRequestId: true,
    serverHeaderTransformation: ServerHeader.PASS_THROUGH,
    localReplyConfig: {
      mappers: [
        {
          filter: {
            filterSpecifier: {
              case: 'extensionFilter',
              value: extension(
                typedConfig('envoy.access_loggers.extension_filters.cel', ExpressionFilterSchema, {
                  expression: refusals,
                }),
              ),
            },
          },
          statusCode: 403,
          body: { specifier: { case: 'inlineString', value: refusalBody } },
        },
      ],
    },
    accessLog: settings.accessLog ? [accessLog()] : [],
  };
}
