import { BinaryWriter, WireType } from '@bufbuild/protobuf/wire';
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
  readonly bytes: Uint8Array;
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
/** Bytes of responses that are kept in case another stream needs them. */
const rememberedBytes = 8 * 1024 * 1024;

export function createEncoder(): Encoder {
  let serial = 0;
  const recent = new Map<string, Push>();
  const lists = new WeakMap<readonly Stored[], number>();
  let listNumber = 0;
  let bytes = 0;

  function listKey(items: readonly Stored[]): string {
    if (items.length <= comparedItems)
      return items.map((item) => `${item.serial}:${item.resource.name}`).join('\0');
    const number = lists.get(items) ?? ++listNumber;
    lists.set(items, number);
    return `list ${number}`;
  }

  function remember(key: string, push: Push): void {
    bytes += push.bytes.length - (recent.get(key)?.bytes.length ?? 0);
    recent.delete(key);
    recent.set(key, push);
    for (const [oldest, { bytes: old }] of recent) {
      if (bytes <= rememberedBytes || oldest === key) return;
      recent.delete(oldest);
      bytes -= old.length;
    }
  }

  return {
    encode: (content, after) => {
      const shared = content.removed.length <= comparedItems && content.heartbeats.length === 0;
      const key = shared
        ? `${content.variant} ${content.ttl} ${content.typeUrl}\0${listKey(content.stored)}\0\0${content.removed.join('\0')}`
        : '';
      const known = shared ? recent.get(key) : undefined;
      if (known !== undefined && known.serial > after) return known;
      serial += 1;
      const nonce = serial.toString(36);
      const push = Object.freeze({ bytes: response(content, nonce), nonce, serial });
      if (shared) remember(key, push);
      return push;
    },
  };
}

/** DiscoveryResponse or DeltaDiscoveryResponse: the fields around the entries have the same numbers in both. */
function response(content: Content, nonce: string): Uint8Array {
  const { variant, typeUrl, stored, removed, heartbeats, version } = content;
  const frame = new BinaryWriter()
    .tag(1, WireType.LengthDelimited)
    .string(variant === 'sotw' ? version : nonce)
    .tag(4, WireType.LengthDelimited)
    .string(typeUrl)
    .tag(5, WireType.LengthDelimited)
    .string(nonce);
  for (const name of removed) frame.tag(6, WireType.LengthDelimited).string(name);
  const parts: Uint8Array[] = [frame.finish()];
  for (const item of stored) {
    parts.push(headOf(item, content), item.resource.value);
  }
  for (const resource of heartbeats) parts.push(heartbeatEntry(resource));
  return Buffer.concat(parts);
}

function headOf(item: Stored, { variant, ttl }: Content): Uint8Array {
  if (variant === 'delta') return item.deltaHead;
  return ttl ? item.sotwTtlHead : item.sotwHead;
}
