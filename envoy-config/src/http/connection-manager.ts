import type { MessageInitShape } from '@bufbuild/protobuf';
import {
  type AccessLogFilterSchema,
  ComparisonFilter_Op as Comparison,
} from '@weir/xds-ts/envoy/config/accesslog/v3/accesslog';
import { ApiVersion } from '@weir/xds-ts/envoy/config/core/v3/config_source';
import { RouterSchema } from '@weir/xds-ts/envoy/extensions/filters/http/router/v3/router';
import {
  HttpConnectionManager_ForwardClientCertDetails as ClientCert,
  HttpConnectionManager_CodecType as Codec,
  HttpConnectionManager_PathWithEscapedSlashesAction as EscapedSlashes,
  HttpConnectionManagerSchema,
  type LocalReplyConfigSchema,
  type ResponseMapperSchema,
  HttpConnectionManager_ServerHeaderTransformation as ServerHeader,
} from '@weir/xds-ts/envoy/extensions/filters/network/http_connection_manager/v3/http_connection_manager';
import { accessLog } from '../access-log-config.ts';
import { duration } from '../duration.ts';
import type { ListenerInput } from '../listener-input.ts';
import type { ProxySettings } from '../settings.ts';
import { type Extension, extension, typedConfig } from '../typed-config.ts';
import { keepForwardedProto, restoreForwardedProto } from './forwarded-proto.ts';
import { headerLogOf } from './header-log.ts';
import { http1Options, http2Options } from './protocol-options.ts';
import { refusalBody } from './route-action.ts';
import { verdictFilterOf } from './verdict-filter.ts';

/**
 * The words of the replies that Envoy makes by itself where policy refuses: 403 for what routes, the verdict filter
 * and the list of upgrades refuse, 404 where there is no route or path. A mapper sees no reply of a server. (CEL on
 * the reply's details would say it more closely, for twice the memory of a listener.) A gRPC caller reads the body as
 * a message, where a line break would be a blemish.
 */
function refusalWords(): MessageInitShape<typeof LocalReplyConfigSchema> {
  const refusals = [status(Comparison.GE, 403), status(Comparison.LE, 404)];
  return {
    mappers: [mapper([...refusals, grpcRequest], refusalBody.trimEnd()), mapper(refusals, refusalBody)],
  };
}

type Filter = MessageInitShape<typeof AccessLogFilterSchema>;

function mapper(filters: Filter[], text: string): MessageInitShape<typeof ResponseMapperSchema> {
  return {
    filter: { filterSpecifier: { case: 'andFilter', value: { filters } } },
    statusCode: 403,
    body: { specifier: { case: 'inlineString', value: text } },
  };
}

function status(op: Comparison, value: number): Filter {
  const comparison = { op, value: { defaultValue: value, runtimeKey: `weir.refusal.${value}` } };
  return { filterSpecifier: { case: 'statusCodeFilter', value: { comparison } } };
}

/** What Envoy takes for gRPC, and so answers as gRPC. */
const grpcRequest: Filter = {
  filterSpecifier: {
    case: 'headerFilter',
    value: {
      header: {
        name: 'content-type',
        headerMatchSpecifier: {
          case: 'stringMatch',
          value: { matchPattern: { case: 'safeRegex', value: { regex: 'application/grpc(\\+.*)?' } } },
        },
      },
    },
  },
};

/**
 * The HTTP side of a class: changes as little as Envoy can of what passes, and leaves no room for a
 * request that the rules read differently than the server. docs/security.md says what each field is for.
 */
export function connectionManagerFilter(input: ListenerInput, settings: ProxySettings): Extension {
  return extension(
    typedConfig(
      'envoy.filters.network.http_connection_manager',
      HttpConnectionManagerSchema,
      connectionManager(input, settings),
    ),
  );
}

function connectionManager(
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
    httpFilters: [headerLogOf(), ...(pair ? [verdictFilterOf()] : []), restoreForwardedProto(), router],
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
    localReplyConfig: refusalWords(),
    accessLog: settings.accessLog ? [accessLog()] : [],
  };
}
