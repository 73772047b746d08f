import { hash } from 'node:crypto';
import { BinaryWriter, WireType } from '@bufbuild/protobuf/wire';
import type { Resource } from './resource.ts';
import { fieldBytes, writeHead, writeText } from './wire.ts';

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
/** Of both responses, and of the content in a `Resource`. */
const resourcesField = 2;
const noTtl = new Uint8Array(0);

/** Encodes what surrounds a resource's bytes on the wire (discovery.proto). */
export function stored(resource: Resource, serial: number): Stored {
  const { name, version, value, ttlMs } = resource;
  const digest = hash('sha256', `${name}\0${version}`, 'buffer');
  const { head, messageAt, anyAt } = headOf(resource);
  const sotwHead = head.subarray(anyAt);
  return Object.freeze({
    kind: 'stored',
    resource,
    serial,
    digest: [digest.readUInt32LE(0), digest.readUInt32LE(4)] as const,
    deltaHead: head,
    sotwHead,
    sotwTtlHead:
      ttlMs === null ? sotwHead : entry(inResource(head.subarray(messageAt), value.length), value.length),
  });
}

/**
 * Both heads in one: a delta entry is a `Resource` whose last field, an `Any`, stands under the same number
 * as the entries of state-of-the-world, so that the end of the one is the other.
 */
function headOf({ name, version, typeUrl, value, ttlMs }: Resource): {
  readonly head: Buffer;
  /** Where the `Resource` begins, after tag and length. */
  readonly messageAt: number;
  /** Where the `Any` begins, with tag and length. */
  readonly anyAt: number;
} {
  const nameBytes = Buffer.byteLength(name);
  const versionBytes = Buffer.byteLength(version);
  const typeBytes = Buffer.byteLength(typeUrl);
  const ttl = ttlMs === null ? noTtl : ttlField(ttlMs);
  const anyBytes = fieldBytes(typeBytes) + fieldBytes(value.length);
  const messageBytes = fieldBytes(nameBytes) + fieldBytes(versionBytes) + ttl.length + fieldBytes(anyBytes);
  const head = Buffer.allocUnsafeSlow(fieldBytes(messageBytes) - value.length);
  const messageAt = writeHead(head, 0, resourcesField, messageBytes);
  const versionAt = writeText(head, messageAt, 3, name, nameBytes);
  const ttlAt = writeText(head, versionAt, 1, version, versionBytes);
  head.set(ttl, ttlAt);
  const anyAt = ttlAt + ttl.length;
  const typeAt = writeHead(head, anyAt, resourcesField, anyBytes);
  writeHead(head, writeText(head, typeAt, 1, typeUrl, typeBytes), 2, value.length);
  return { head, messageAt, anyAt };
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
  const identity = new BinaryWriter()
    .tag(3, WireType.LengthDelimited)
    .string(name)
    .tag(1, WireType.LengthDelimited)
    .string(version);
  return ttlMs === null ? identity.finish() : identity.raw(ttlField(ttlMs)).finish();
}

function ttlField(ttlMs: number): Uint8Array {
  return new BinaryWriter()
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
