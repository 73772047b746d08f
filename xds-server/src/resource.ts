import { createHash, hash } from 'node:crypto';
import { type DescMessage, type MessageShape, toBinary } from '@bufbuild/protobuf';
import { typeUrlOf } from '@weir/xds-ts';

declare const version: unique symbol;

/** Sixteen hex digits that follow from a resource's bytes and TTL: equal content, equal version. */
export type Version = string & { readonly [version]: true };

/** Which resource: xDS names are unique within a type. */
export interface ResourceRef {
  readonly typeUrl: string;
  readonly name: string;
}

/** One encoded resource. The bytes are shared by every stream and must not be written to. */
export interface Resource extends ResourceRef {
  /** The serialized message of type `typeUrl`, without an `Any` around it. */
  readonly value: Uint8Array;
  readonly version: Version;
  /** How long a client keeps the resource without a sign of life; null: for ever. */
  readonly ttlMs: number | null;
}

/** What makes a resource: the serialized message under its resource name. */
export interface ResourceInput extends ResourceRef {
  readonly value: Uint8Array;
  /** Null or left out: kept for ever. */
  readonly ttlMs?: number | null;
}

/** A resource from bytes that are encoded already. */
export function encodedResource({ typeUrl, name, value, ttlMs = null }: ResourceInput): Resource {
  const digest =
    ttlMs === null
      ? hash('sha256', value)
      : createHash('sha256').update(value).update(`ttl ${ttlMs}`).digest('hex');
  return Object.freeze({ typeUrl, name, value, ttlMs, version: digest.slice(0, 16) as Version });
}

/** A resource from a message of Envoy's API; the name is passed because types disagree on where it stands. */
export function resource<Schema extends DescMessage>(
  schema: Schema,
  name: string,
  message: MessageShape<Schema>,
  options: { readonly ttlMs?: number } = {},
): Resource {
  return encodedResource({ typeUrl: typeUrlOf(schema), name, value: toBinary(schema, message), ...options });
}
