import { create, toBinary } from '@bufbuild/protobuf';
import { AnySchema, BytesValueSchema } from '@bufbuild/protobuf/wkt';
import { typeUrlOf } from '@weir/xds-ts';
import { ApiVersion } from '@weir/xds-ts/envoy/config/core/v3/config_source';
import { TypedExtensionConfigSchema } from '@weir/xds-ts/envoy/config/core/v3/extension';
import { TcpProxySchema } from '@weir/xds-ts/envoy/extensions/filters/network/tcp_proxy/v3/tcp_proxy';
import { WasmSchema } from '@weir/xds-ts/envoy/extensions/filters/network/wasm/v3/wasm';
import { FailurePolicy, PluginConfigSchema } from '@weir/xds-ts/envoy/extensions/wasm/v3/wasm';
import { originalDestination } from '../cluster.ts';
import { duration } from '../duration.ts';
import { compileListener, type NetworkFilter } from '../listener.ts';
import { type EnvoyResource, typeUrls } from '../resource.ts';
import type { ProxyPort, ProxySettings } from '../settings.ts';
import { extension, typedConfig } from '../typed-config.ts';
import type { KafkaFilter } from './kafka-filter.ts';

/** How soon a VM that has ended may end again and be made anew; until then its connections end. */
const RELOAD_MS = 100;

/**
 * Listener and filter of a Kafka class. The listener depends on id, port and settings only; the filter, which ECDS
 * carries under the same name, holds the rules. All classes share one VM a worker, where a new version of the rules
 * replaces the old one for the connections that are open.
 */
export function compileKafkaClass(
  input: { readonly id: string; readonly port: ProxyPort },
  config: Uint8Array,
  filter: KafkaFilter,
  settings: ProxySettings,
): readonly EnvoyResource[] {
  return [
    compileListener({ classId: input.id, port: input.port }, [discovered(input.id), tcpProxy()], settings),
    extensionResource(input.id, config, filter),
  ];
}

function discovered(name: string): NetworkFilter {
  return {
    name,
    configType: {
      case: 'configDiscovery',
      value: {
        configSource: {
          resourceApiVersion: ApiVersion.V3,
          configSourceSpecifier: { case: 'ads', value: {} },
        },
        typeUrls: [typeUrlOf(WasmSchema)],
      },
    },
  };
}

/** No idle timeout: brokers and clients have their own. */
function tcpProxy(): NetworkFilter {
  return extension(
    typedConfig('envoy.filters.network.tcp_proxy', TcpProxySchema, {
      statPrefix: 'weir',
      clusterSpecifier: { case: 'cluster', value: originalDestination },
      idleTimeout: duration(0),
    }),
  );
}

function extensionResource(id: string, config: Uint8Array, filter: KafkaFilter): EnvoyResource {
  const configuration = toBinary(BytesValueSchema, create(BytesValueSchema, { value: config }));
  const plugin = create(PluginConfigSchema, {
    name: id,
    rootId: id,
    vm: {
      case: 'vmConfig',
      value: {
        vmId: `weir-kafka-${filter.digest}`,
        runtime: 'envoy.wasm.runtime.v8',
        code: {
          specifier: {
            case: 'local',
            value: { specifier: { case: 'inlineBytes', value: filter.code } },
          },
        },
      },
    },
    configuration: create(AnySchema, { typeUrl: typeUrlOf(BytesValueSchema), value: configuration }),
    failurePolicy: FailurePolicy.FAIL_RELOAD,
    reloadConfig: { backoff: { baseInterval: duration(RELOAD_MS) } },
  });
  const message = create(TypedExtensionConfigSchema, {
    name: id,
    typedConfig: {
      typeUrl: typeUrlOf(WasmSchema),
      value: toBinary(WasmSchema, create(WasmSchema, { config: plugin })),
    },
  });
  return {
    typeUrl: typeUrls.extension,
    name: id,
    bytes: toBinary(TypedExtensionConfigSchema, message),
  };
}
