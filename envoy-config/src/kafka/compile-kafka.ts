import { create, toBinary } from '@bufbuild/protobuf';
import { BytesValueSchema } from '@bufbuild/protobuf/wkt';
import { typeUrlOf } from '@weir/xds-ts';
import { ApiVersion } from '@weir/xds-ts/envoy/config/core/v3/config_source';
import { TypedExtensionConfigSchema } from '@weir/xds-ts/envoy/config/core/v3/extension';
import { TcpProxySchema } from '@weir/xds-ts/envoy/extensions/filters/network/tcp_proxy/v3/tcp_proxy';
import { WasmSchema } from '@weir/xds-ts/envoy/extensions/filters/network/wasm/v3/wasm';
import { FailurePolicy, PluginConfigSchema } from '@weir/xds-ts/envoy/extensions/wasm/v3/wasm';
import { any } from '../any.ts';
import { originalDestination } from '../cluster.ts';
import { duration } from '../duration.ts';
import { compileListener, type NetworkFilter } from '../listener.ts';
import { type EnvoyResource, typeUrls } from '../resource.ts';
import type { ProxyPort, ProxySettings } from '../settings.ts';
import { extension, typedConfig } from '../typed-config.ts';
import { field, joined, written } from '../wire.ts';
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

/** The rules may be large: their bytes are written once, where the message that is sent wants them. */
function extensionResource(id: string, config: Uint8Array, filter: KafkaFilter): EnvoyResource {
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
    failurePolicy: FailurePolicy.FAIL_RELOAD,
    reloadConfig: { backoff: { baseInterval: duration(RELOAD_MS) } },
  });
  const configuration = any(typeUrlOf(BytesValueSchema), field(BytesValueSchema.field.value.number, config));
  const wasm = field(
    WasmSchema.field.config.number,
    joined(
      toBinary(PluginConfigSchema, plugin),
      field(PluginConfigSchema.field.configuration.number, configuration),
    ),
  );
  const { name, typedConfig } = TypedExtensionConfigSchema.field;
  return {
    typeUrl: typeUrls.extension,
    name: id,
    bytes: written(
      joined(field(name.number, id), field(typedConfig.number, any(typeUrlOf(WasmSchema), wasm))),
    ),
  };
}
