import { create, type DescMessage, type MessageInitShape, toBinary } from '@bufbuild/protobuf';
import { typeUrlOf } from '@weir/xds-ts';

/** An extension's configuration: its name and its message, wrapped as Envoy wants it. */
export interface TypedConfig {
  readonly name: string;
  readonly typedConfig: { readonly typeUrl: string; readonly value: Uint8Array };
}

/** Names and wraps the configuration of an extension. */
export function typedConfig<Schema extends DescMessage>(
  name: string,
  schema: Schema,
  init: MessageInitShape<Schema>,
): TypedConfig {
  return { name, typedConfig: { typeUrl: typeUrlOf(schema), value: toBinary(schema, create(schema, init)) } };
}

/** The same in the form that filters take: with a choice of where the configuration comes from. */
export interface Extension {
  readonly name: string;
  readonly configType: { readonly case: 'typedConfig'; readonly value: TypedConfig['typedConfig'] };
}

/** A filter (or access log) with its configuration inside. */
export function extension(config: TypedConfig): Extension {
  return { name: config.name, configType: { case: 'typedConfig', value: config.typedConfig } };
}
