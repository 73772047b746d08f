import { BinaryWriter, WireType } from '@bufbuild/protobuf/wire';
import { createBlocks } from './blocks.ts';
import type { Variant } from './events.ts';
import type { Resource } from './resource.ts';
import { heartbeatEntry, type Stored } from './stored.ts';

/** What goes into one response. */
export interface Content {
  readonly variant: Variant;
  readonly typeUrl: string;
  readonly stored: readonly Stored[];
  /** Names that are gone; only delta can say so. */
  readonly removed: readonly string[];
  /** Delta: resources whose TTL is renewed without their content. */
  readonly heartbeats: readonly Resource[];
  /** Whether the client takes TTLs in state-of-the-world. */
  readonly ttl: boolean;
  /** State-of-the-world's `version_info`. */
  readonly version: string;
}

/** One encoded response, sent as it is to every stream that needs this content. */
export interface Push {
  /** The message in parts that follow each other; streams share them. */
  readonly parts: readonly Uint8Array[];
  readonly bytes: number;
  readonly nonce: string;
  /** Grows over all responses of the server, so that no stream sees a nonce twice. */
  readonly serial: number;
}

/**
 * Encodes responses, and remembers the last ones: streams that need the same content get the same
 * bytes under the same nonce, unless the stream has seen that nonce (`after` is its newest one).
 */
export interface Encoder {
  readonly encode: (content: Content, after: number) => Push;
}

/** Lists up to this length are compared by content; longer ones by identity, as chunks are shared. */
const comparedItems = 16;
/** Responses that are kept in case another stream needs them, and their bytes. */
const rememberedPushes = 128;
const rememberedBytes = 8 * 1024 * 1024;

export function createEncoder(): Encoder {
  const delta = createBlocks((item) => item.deltaHead);
  const sotw = createBlocks((item) => item.sotwHead);
  const sotwTtl = createBlocks((item) => item.sotwTtlHead);
  let serial = 0;
  const recent = new Map<string, Push>();
  const lists = new WeakMap<readonly Stored[], number>();
  let listNumber = 0;
  let bytes = 0;
  /** What was asked for last: a change goes to all streams in a row. */
  let last: { readonly content: Content; readonly push: Push } | null = null;

  function listKey(items: readonly Stored[]): string {
    if (items.length <= comparedItems)
      return items.map((item) => `${item.serial}:${item.resource.name}`).join('\0');
    const number = lists.get(items) ?? ++listNumber;
    lists.set(items, number);
    return `list ${number}`;
  }

  function remember(key: string, push: Push): void {
    bytes += push.bytes - (recent.get(key)?.bytes ?? 0);
    recent.delete(key);
    recent.set(key, push);
    for (const [oldest, { bytes: old }] of recent) {
      if ((bytes <= rememberedBytes && recent.size <= rememberedPushes) || oldest === key) return;
      recent.delete(oldest);
      bytes -= old;
    }
  }

  function encoded(content: Content): Push {
    serial += 1;
    const nonce = serial.toString(36);
    const body = content.variant === 'delta' ? delta : content.ttl ? sotwTtl : sotw;
    const parts = whole([surrounding(content, nonce), ...body(content.stored)]);
    const size = parts.reduce((sum, part) => sum + part.length, 0);
    return Object.freeze({ parts, bytes: size, nonce, serial });
  }

  return {
    encode: (content, after) => {
      if (last !== null && last.push.serial > after && sameContent(last.content, content)) return last.push;
      const shared = content.removed.length <= comparedItems && content.heartbeats.length === 0;
      const key = shared
        ? `${content.variant} ${content.ttl} ${content.typeUrl}\0${listKey(content.stored)}\0\0${content.removed.join('\0')}`
        : '';
      const known = shared ? recent.get(key) : undefined;
      const push = known !== undefined && known.serial > after ? known : encoded(content);
      if (shared) {
        if (push !== known) remember(key, push);
        last = { content, push };
      }
      return push;
    },
  };
}

/** Only contents that are remembered at all are compared: without renewals, and with few removals. */
function sameContent(one: Content, other: Content): boolean {
  return (
    one.variant === other.variant &&
    one.ttl === other.ttl &&
    one.typeUrl === other.typeUrl &&
    other.heartbeats.length === 0 &&
    sameItems(one.stored, other.stored) &&
    sameItems(one.removed, other.removed)
  );
}

function sameItems<Item>(one: readonly Item[], other: readonly Item[]): boolean {
  if (one === other) return true;
  if (one.length !== other.length || one.length > comparedItems) return false;
  return one.every((item, index) => item === other[index]);
}

/** A short message is one part. */
function whole(parts: readonly Uint8Array[]): readonly Uint8Array[] {
  return parts.length <= 2 ? [Buffer.concat(parts)] : parts;
}

/**
 * All of a DiscoveryResponse or DeltaDiscoveryResponse but the entries: the fields have the same
 * numbers in both, and may stand in any order.
 */
function surrounding(content: Content, nonce: string): Uint8Array {
  const { variant, typeUrl, removed, heartbeats, version } = content;
  const frame = new BinaryWriter()
    .tag(1, WireType.LengthDelimited)
    .string(variant === 'sotw' ? version : nonce)
    .tag(4, WireType.LengthDelimited)
    .string(typeUrl)
    .tag(5, WireType.LengthDelimited)
    .string(nonce);
  for (const name of removed) frame.tag(6, WireType.LengthDelimited).string(name);
  return Buffer.concat([frame.finish(), ...heartbeats.map(heartbeatEntry)]);
}
