import { createHash } from 'node:crypto';
import { BinaryWriter, WireType } from '@bufbuild/protobuf/wire';
import type { Resource } from './resource.ts';

/**
 * A resource as the store holds it, with everything around its bytes encoded once. A response is the
 * heads and values of its resources one after the other; the value stands last in each message.
 */
export interface Stored {
  readonly kind: 'stored';
  readonly resource: Resource;
  /** Number of the update that brought it; grows over all names and types. */
  readonly serial: number;
  /** 64 bits that follow from name and version, in two halves; sums of them name a set of resources. */
  readonly digest: readonly [number, number];
  /** A `resources` entry of DeltaDiscoveryResponse up to the value. */
  readonly deltaHead: Uint8Array;
  /** A `resources` entry of DiscoveryResponse up to the value. */
  readonly sotwHead: Uint8Array;
  /** The same inside a `Resource` message, which carries the TTL; equal to `sotwHead` without one. */
  readonly sotwTtlHead: Uint8Array;
}

const resourceTypeUrl = 'type.googleapis.com/envoy.service.discovery.v3.Resource';
const resourcesField = 2;

/** Encodes what surrounds a resource's bytes on the wire (discovery.proto). */
export function stored(resource: Resource, serial: number): Stored {
  const { name, version, value } = resource;
  const hash = createHash('sha256').update(name).update('\0').update(version).digest();
  const any = new BinaryWriter()
    .tag(1, WireType.LengthDelimited)
    .string(resource.typeUrl)
    .tag(2, WireType.LengthDelimited)
    .uint32(value.length)
    .finish();
  const wrapped = new BinaryWriter()
    .raw(identity(resource))
    .tag(2, WireType.LengthDelimited)
    .uint32(any.length + value.length)
    .raw(any)
    .finish();
  const sotwHead = entry(any, value.length);
  return Object.freeze({
    kind: 'stored',
    resource,
    serial,
    digest: [hash.readUInt32LE(0), hash.readUInt32LE(4)] as const,
    deltaHead: entry(wrapped, value.length),
    sotwHead,
    sotwTtlHead: resource.ttlMs === null ? sotwHead : entry(inResource(wrapped, value.length), value.length),
  });
}

/** Delta: an entry that renews a TTL and carries no content: same name and version, no resource. */
export function heartbeatEntry(resource: Resource): Uint8Array {
  return entry(identity(resource), 0);
}

/** Size of the resource's entry in a response. */
export function entryBytes(item: Stored): number {
  return item.deltaHead.length + item.resource.value.length;
}

function identity({ name, version, ttlMs }: Resource): Uint8Array {
  const writer = new BinaryWriter()
    .tag(3, WireType.LengthDelimited)
    .string(name)
    .tag(1, WireType.LengthDelimited)
    .string(version);
  if (ttlMs === null) return writer.finish();
  return writer
    .tag(6, WireType.LengthDelimited)
    .fork()
    .tag(1, WireType.Varint)
    .int64(Math.floor(ttlMs / 1_000))
    .tag(2, WireType.Varint)
    .int32((ttlMs % 1_000) * 1_000_000)
    .join()
    .finish();
}

function inResource(body: Uint8Array, valueBytes: number): Uint8Array {
  return new BinaryWriter()
    .tag(1, WireType.LengthDelimited)
    .string(resourceTypeUrl)
    .tag(2, WireType.LengthDelimited)
    .uint32(body.length + valueBytes)
    .raw(body)
    .finish();
}

function entry(body: Uint8Array, valueBytes: number): Uint8Array {
  return new BinaryWriter()
    .tag(resourcesField, WireType.LengthDelimited)
    .uint32(body.length + valueBytes)
    .raw(body)
    .finish();
}
