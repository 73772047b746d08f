import { create, type MessageInitShape, toBinary } from '@bufbuild/protobuf';
import { StringValueSchema } from '@bufbuild/protobuf/wkt';
import type { AddressSchema } from '@weir/xds-ts/envoy/config/core/v3/address';
import { ListenerSchema } from '@weir/xds-ts/envoy/config/listener/v3/listener';
import type { FilterSchema } from '@weir/xds-ts/envoy/config/listener/v3/listener_components';
import { OriginalDstSchema } from '@weir/xds-ts/envoy/extensions/filters/listener/original_dst/v3/original_dst';
import { OriginalSrcSchema } from '@weir/xds-ts/envoy/extensions/filters/listener/original_src/v3/original_src';
import { DestinationIPInputSchema } from '@weir/xds-ts/envoy/extensions/matching/common_inputs/network/v3/network_inputs';
import { IpSchema } from '@weir/xds-ts/envoy/extensions/matching/input_matchers/ip/v3/ip';
import type { MatcherSchema } from '@weir/xds-ts/xds/type/matcher/v3/matcher';
import { type EnvoyResource, typeUrls } from './resource.ts';
import type { ProxyPort, ProxySettings } from './settings.ts';
import { markOption } from './socket-mark.ts';
import { extension, typedConfig } from './typed-config.ts';

/**
 * Destinations that a redirected connection never has. A connection to one of them was opened straight
 * to the proxy port, and Envoy would connect to itself; no filter chain takes it, and it is closed.
 */
const refusedDestinations = [
  { addressPrefix: '127.0.0.0', prefixLen: 8 },
  { addressPrefix: '0.0.0.0', prefixLen: 8 },
  { addressPrefix: '::1', prefixLen: 128 },
  { addressPrefix: '::', prefixLen: 128 },
];

/** Leads to the filter chain unless the destination is refused. */
function chainUnlessRefused(chain: string): MessageInitShape<typeof MatcherSchema> {
  const refused = {
    matchType: {
      case: 'singlePredicate',
      value: {
        input: typedConfig('destination', DestinationIPInputSchema, {}),
        matcher: {
          case: 'customMatch',
          value: typedConfig('envoy.matching.matchers.ip', IpSchema, {
            cidrRanges: refusedDestinations,
            statPrefix: 'weir',
          }),
        },
      },
    },
  } as const;
  const found = { case: 'action', value: typedConfig('chain', StringValueSchema, { value: chain }) } as const;
  return {
    matcherType: {
      case: 'matcherList',
      value: {
        matchers: [
          { predicate: { matchType: { case: 'notMatcher', value: refused } }, onMatch: { onMatch: found } },
        ],
      },
    },
  };
}

function socketAddress(address: string, port: number): MessageInitShape<typeof AddressSchema> {
  return {
    address: { case: 'socketAddress', value: { address, portSpecifier: { case: 'portValue', value: port } } },
  };
}

/** A network filter as a listener holds it. */
export type NetworkFilter = MessageInitShape<typeof FilterSchema>;

/**
 * The listener of a class on 127.0.0.1 and ::1, reached only by connections that the kernel assigns to it.
 * Two sockets, because one of IPv4 cannot take IPv6 segments, and one for both would listen outside of loopback.
 */
export function compileListener(
  { classId, port }: { readonly classId: string; readonly port: ProxyPort },
  filters: readonly NetworkFilter[],
  settings: ProxySettings,
): EnvoyResource {
  const message = create(ListenerSchema, {
    name: classId,
    statPrefix: 'weir',
    address: socketAddress('127.0.0.1', port),
    additionalAddresses: settings.ipv6 ? [{ address: socketAddress('::1', port) }] : [],
    transparent: true,
    perConnectionBufferLimitBytes: settings.limits.connectionBufferBytes,
    socketOptions: [markOption(settings.proxyMark)],
    listenerFilters: [
      extension(typedConfig('envoy.filters.listener.original_dst', OriginalDstSchema, {})),
      extension(
        typedConfig('envoy.filters.listener.original_src', OriginalSrcSchema, { mark: settings.proxyMark }),
      ),
    ],
    filterChainMatcher: chainUnlessRefused(classId),
    filterChains: [{ name: classId, filters: [...filters] }],
  });
  return { typeUrl: typeUrls.listener, name: classId, bytes: toBinary(ListenerSchema, message) };
}
