import type { Duration } from '@bufbuild/protobuf/wkt';
import type { Address } from '@weir/xds-ts/envoy/config/core/v3/address';
import type { Metadata } from '@weir/xds-ts/envoy/config/core/v3/base';
import {
  type HTTPAccessLogEntry,
  HTTPAccessLogEntry_HTTPVersion as HttpVersion,
  type ResponseFlags,
} from '@weir/xds-ts/envoy/data/accesslog/v3/accesslog';
import { classTag, methodTag } from './access-log-config.ts';
import { parseRouteName, type RouteDenial } from './http/route-name.ts';
import { verdictFilter } from './http/verdict-filter-name.ts';

/** An address and port as Envoy reports it, host order. */
export interface Peer {
  readonly address: string;
  readonly port: number;
}

/** What decided about a request. */
export type RequestVerdict =
  /**
   * Rules allowed it; what happened then stands in `status` and `details`. A rule is null where its side has
   * none, or where a combined regex hides it: then the engine finds it from the request.
   */
  | { readonly kind: 'allowed'; readonly egressRule: string | null; readonly ingressRule: string | null }
  | { readonly kind: 'denied'; readonly reason: RequestDenial }
  /** Envoy answered by itself before the rules were asked (malformed request, overload, …). */
  | { readonly kind: 'failed' };

/**
 * Why a request was refused: by which side's rules, because its path or host may mean another one to the
 * server, because it asks for a tunnel (CONNECT, an upgrade other than WebSocket), or because it names no path.
 */
export type RequestDenial = RouteDenial | 'upgrade' | 'unroutable';

/** One HTTP request that went through the proxy, as its access log says. */
export interface RequestRecord {
  readonly kind: 'request';
  /** Class id, equal to the listener's name. */
  readonly classId: string;
  readonly source: Peer;
  readonly destination: Peer;
  /** Start of the request, milliseconds since the epoch. */
  readonly startedAtMs: number;
  readonly durationMs: number;
  readonly protocol: 'HTTP/1.0' | 'HTTP/1.1' | 'HTTP/2' | 'HTTP/3' | 'unknown';
  readonly method: string;
  /** With the query, as the rules saw it (dot segments and unusual characters normalised). */
  readonly path: string;
  readonly host: string;
  /** 0 when no response was sent. */
  readonly status: number;
  readonly verdict: RequestVerdict;
  /** Headers (lower case) that did not have the value that a headerMatches of an allowing rule wanted. */
  readonly mismatches: readonly string[];
  /** Envoy's words for how the response came about, such as `via_upstream`. */
  readonly details: string;
  /** Envoy's short response flags, such as `UF`. */
  readonly flags: readonly string[];
  readonly requestBytes: number;
  readonly responseBytes: number;
}

/** Where the RBAC filter leaves the name of the rule that allowed. */
const enforcedPolicy = 'enforced_effective_policy_id';

const protocols = {
  [HttpVersion.PROTOCOL_UNSPECIFIED]: 'unknown',
  [HttpVersion.HTTP10]: 'HTTP/1.0',
  [HttpVersion.HTTP11]: 'HTTP/1.1',
  [HttpVersion.HTTP2]: 'HTTP/2',
  [HttpVersion.HTTP3]: 'HTTP/3',
} as const;

/** Short names of response flags (Envoy's access log documentation, `%RESPONSE_FLAGS%`). */
const flagNames: readonly (readonly [keyof ResponseFlags, string])[] = [
  ['noHealthyUpstream', 'UH'],
  ['upstreamConnectionFailure', 'UF'],
  ['upstreamOverflow', 'UO'],
  ['noRouteFound', 'NR'],
  ['upstreamRequestTimeout', 'UT'],
  ['localReset', 'LR'],
  ['upstreamRemoteReset', 'UR'],
  ['upstreamConnectionTermination', 'UC'],
  ['downstreamConnectionTermination', 'DC'],
  ['downstreamProtocolError', 'DPE'],
  ['downstreamRemoteReset', 'DR'],
  ['upstreamProtocolError', 'UPE'],
  ['upstreamMaxStreamDurationReached', 'UMSDR'],
  ['streamIdleTimeout', 'SI'],
  ['durationTimeout', 'DT'],
  ['noClusterFound', 'NC'],
  ['overloadManager', 'OM'],
];

/** Reads a log entry. Fields that Envoy left out are empty or zero. */
export function requestRecord(entry: HTTPAccessLogEntry): RequestRecord {
  const { commonProperties: common, request, response } = entry;
  const tags = common?.customTags ?? {};
  const details = response?.responseCodeDetails ?? '';
  const flags = common?.responseFlags;
  const route = parseRouteName(common?.routeName ?? '');
  return {
    kind: 'request',
    classId: tags[classTag] ?? '',
    source: peer(common?.downstreamRemoteAddress),
    destination: peer(common?.downstreamLocalAddress),
    startedAtMs: milliseconds(common?.startTime),
    durationMs: milliseconds(common?.duration ?? common?.timeToLastDownstreamTxByte),
    protocol: protocols[entry.protocolVersion],
    method: tags[methodTag] ?? '',
    path: request?.path ?? '',
    host: request?.authority ?? '',
    status: response?.responseCode ?? 0,
    verdict: verdict(route, details, common?.metadata),
    mismatches: route?.kind === 'allow' ? route.mismatches : [],
    details,
    flags:
      flags === undefined ? [] : flagNames.flatMap(([field, name]) => (flags[field] === true ? [name] : [])),
    requestBytes: Number((request?.requestHeadersBytes ?? 0n) + (request?.requestBodyBytes ?? 0n)),
    responseBytes: Number((response?.responseHeadersBytes ?? 0n) + (response?.responseBodyBytes ?? 0n)),
  };
}

function verdict(
  route: ReturnType<typeof parseRouteName>,
  details: string,
  metadata: Metadata | undefined,
): RequestVerdict {
  if (details === 'upgrade_failed') return { kind: 'denied', reason: 'upgrade' };
  if (details === 'route_not_found' || details === 'absolute_path_rejected') {
    return { kind: 'denied', reason: 'unroutable' };
  }
  if (route?.kind === 'deny') return { kind: 'denied', reason: route.reason };
  if (details.startsWith('rbac_access_denied')) return { kind: 'denied', reason: 'ingress-rules' };
  if (route === null) return { kind: 'failed' };
  const second = metadata?.filterMetadata[verdictFilter]?.[enforcedPolicy];
  const passed = typeof second === 'string' && second !== '*' ? second : null;
  return route.side === 'egress'
    ? { kind: 'allowed', egressRule: route.rule, ingressRule: passed }
    : { kind: 'allowed', egressRule: null, ingressRule: route.rule };
}

function peer(address: Address | undefined): Peer {
  const socket = address?.address;
  if (socket?.case !== 'socketAddress') return { address: '', port: 0 };
  const { address: text, portSpecifier } = socket.value;
  return { address: text, port: portSpecifier.case === 'portValue' ? portSpecifier.value : 0 };
}

function milliseconds(time: Pick<Duration, 'seconds' | 'nanos'> | undefined): number {
  return time === undefined ? 0 : Number(time.seconds) * 1000 + time.nanos / 1_000_000;
}
