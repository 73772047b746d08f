import { create } from '@bufbuild/protobuf';
import { ClientResourceStatus } from '@weir/xds-ts/envoy/admin/v3/config_dump_shared';
import {
  type ClientConfig,
  ClientConfigSchema,
  type ClientStatusRequest,
  type ClientStatusResponse,
  ClientStatusResponseSchema,
  ConfigStatus,
} from '@weir/xds-ts/envoy/service/status/v3/csds';
import type { NodeMatcher } from '@weir/xds-ts/envoy/type/matcher/v3/node';
import type { Client, ClientId } from './client.ts';
import type { ResourceStatus } from './server.ts';

/** What the client status service asks the server. */
export interface StatusSource {
  readonly clients: () => readonly Client[];
  readonly status: (id: ClientId) => ReadonlyMap<string, ReadonlyMap<string, ResourceStatus>> | undefined;
}

/**
 * The answer of the client status discovery service (csds.proto): for each client how it stands to
 * what it subscribed to, without the resources' content. Throws on node matchers other than simple
 * ones of the node id.
 */
export function clientStatus(source: StatusSource, request: ClientStatusRequest): ClientStatusResponse {
  const matchers = request.nodeMatchers.map(idMatcher);
  const chosen = source
    .clients()
    .filter(({ id }) => matchers.length === 0 || matchers.some((matches) => matches(id)));
  return create(ClientStatusResponseSchema, { config: chosen.map((client) => clientConfig(source, client)) });
}

function clientConfig(source: StatusSource, { id, node }: Client): ClientConfig {
  const { cluster, locality, userAgent } = node;
  return create(ClientConfigSchema, {
    node: {
      id,
      cluster,
      locality: { $typeName: 'envoy.config.core.v3.Locality', ...locality },
      userAgentName: userAgent.name,
      userAgentVersionType: { case: 'userAgentVersion', value: userAgent.version },
    },
    genericXdsConfigs: [...(source.status(id) ?? [])].flatMap(([typeUrl, names]) =>
      [...names].map(([name, status]) => ({ typeUrl, name, ...described(status) })),
    ),
  });
}

type Described = Pick<
  ClientConfig['genericXdsConfigs'][number],
  'versionInfo' | 'configStatus' | 'clientStatus'
> & { readonly errorState?: { readonly details: string; readonly versionInfo: string } };

function described(status: ResourceStatus): Described {
  switch (status.kind) {
    case 'in-force':
      return {
        versionInfo: status.version,
        configStatus: ConfigStatus.SYNCED,
        clientStatus: ClientResourceStatus.ACKED,
      };
    case 'absent':
      return {
        versionInfo: '',
        configStatus: ConfigStatus.SYNCED,
        clientStatus: ClientResourceStatus.DOES_NOT_EXIST,
      };
    case 'waiting':
      return {
        versionInfo: status.version ?? '',
        configStatus: ConfigStatus.NOT_SENT,
        clientStatus: ClientResourceStatus.REQUESTED,
      };
    case 'sent':
      return {
        versionInfo: status.version ?? '',
        configStatus: ConfigStatus.STALE,
        clientStatus: ClientResourceStatus.REQUESTED,
      };
    case 'refused': {
      const { accepted, version, reason } = status.refusal;
      const details = reason.kind === 'nack' ? reason.detail : `${reason.bytes} bytes are too many`;
      return {
        versionInfo: accepted ?? '',
        configStatus: ConfigStatus.ERROR,
        clientStatus: ClientResourceStatus.NACKED,
        errorState: { details, versionInfo: version ?? '' },
      };
    }
  }
}

function idMatcher({ nodeId, nodeMetadatas }: NodeMatcher): (id: string) => boolean {
  const pattern = nodeId?.matchPattern;
  if (nodeMetadatas.length > 0 || nodeId?.ignoreCase === true)
    throw new Error('only node ids can be matched');
  switch (pattern?.case) {
    case 'exact':
      return (id) => id === pattern.value;
    case 'prefix':
      return (id) => id.startsWith(pattern.value);
    case 'suffix':
      return (id) => id.endsWith(pattern.value);
    case 'contains':
      return (id) => id.includes(pattern.value);
    default:
      throw new Error('a node matcher is one of exact, prefix, suffix, contains');
  }
}
