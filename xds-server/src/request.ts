import { fromBinary } from '@bufbuild/protobuf';
import { StatusSchema } from '@weir/xds-ts/google/rpc/status';
import { type Claims, claimsOf, noClaims } from './claims.ts';
import type { Variant } from './events.ts';
import { bodyOf, eachBody, fieldEnd, isPlain, runEnd, textIn, typeUrlIn } from './fields.ts';
import type { RequestLimits } from './limits.ts';

/** What both variants say in each request. */
interface Common {
  readonly typeUrl: string;
  readonly nonce: string;
  /** The client's words when it refuses the response of that nonce; null when it accepts. */
  readonly refusal: string | null;
  /** The serialized node: most requests after the first repeat it for nothing. */
  readonly node: Uint8Array;
}

export interface DeltaRequest extends Common {
  readonly variant: 'delta';
  readonly subscribe: readonly string[];
  readonly unsubscribe: readonly string[];
  readonly claims: Claims;
}

export interface SotwRequest extends Common {
  readonly variant: 'sotw';
  readonly names: () => readonly string[];
  /** Bytes that are equal only when the list is: a cheap way to see that nothing changed. */
  readonly namesKey: Uint8Array;
  readonly version: string;
}

export type Request = DeltaRequest | SotwRequest;

/** Field numbers of discovery.proto. */
const fields = {
  delta: { node: 1, typeUrl: 2, names: 3, unsubscribe: 4, versions: 5, nonce: 6, error: 7, version: -1 },
  sotw: { node: 2, typeUrl: 4, names: 3, unsubscribe: -1, versions: -1, nonce: 5, error: 6, version: 1 },
} as const;

/**
 * Reads a DiscoveryRequest or DeltaDiscoveryRequest by hand: an acknowledgement comes for every push,
 * so it must cost little. Throws on what is no such message, and on text that is not UTF-8.
 */
export function decodeRequest(variant: Variant, bytes: Uint8Array, limits: RequestLimits): Request {
  const field = fields[variant];
  let nodes: Uint8Array[] | null = null;
  let subscribe: string[] | null = null;
  let unsubscribe: string[] | null = null;
  /** The long lists stand as runs of bytes, which are decoded only when they have to be. */
  let names: Uint8Array[] | null = null;
  let claims: Uint8Array[] | null = null;
  let [typeUrl, nonce, version] = ['', '', ''];
  let refusal: string | null = null;
  for (let at = 0; at < bytes.length; ) {
    const tag = bytes[at] ?? 0;
    if (!isPlain(tag)) {
      at = fieldEnd(bytes, at);
      continue;
    }
    const number = tag >>> 3;
    if (number === field.versions || (number === field.names && variant === 'sotw')) {
      const end = runEnd(bytes, at);
      const run = bytes.subarray(at, end);
      if (number === field.names) names = added(names, run);
      else claims = added(claims, run);
      at = end;
      continue;
    }
    const { from, to } = bodyOf(bytes, at);
    at = to;
    switch (number) {
      case field.node:
        nodes = added(nodes, bytes.subarray(from, to));
        break;
      case field.typeUrl:
        typeUrl = typeUrlIn(bytes, from, to);
        break;
      case field.names:
        subscribe = added(subscribe, checked(textIn(bytes, from, to), limits));
        break;
      case field.unsubscribe:
        unsubscribe = added(unsubscribe, checked(textIn(bytes, from, to), limits));
        break;
      case field.nonce:
        nonce = textIn(bytes, from, to);
        break;
      case field.error:
        refusal = fromBinary(StatusSchema, bytes.subarray(from, to)).message || 'the client gave no reason';
        break;
      case field.version:
        version = textIn(bytes, from, to);
        break;
      default: // Nothing else of a request matters here.
    }
  }
  const node = joined(nodes ?? noRuns);
  if (variant === 'delta') {
    return {
      variant,
      typeUrl,
      nonce,
      refusal,
      node,
      subscribe: subscribe ?? noTexts,
      unsubscribe: unsubscribe ?? noTexts,
      claims: claims === null ? noClaims : claimsOf(claims, limits),
    };
  }
  const runs = names ?? noRuns;
  return {
    variant,
    typeUrl,
    nonce,
    refusal,
    node,
    version,
    namesKey: runs.length > 1 ? bytes : (runs[0] ?? noBytes),
    names: () => runs.flatMap((run) => namesIn(run, limits)),
  };
}

/** Most requests hold none of these. */
const noBytes = new Uint8Array(0);
const noTexts: readonly string[] = Object.freeze([]);
const noRuns: readonly Uint8Array[] = Object.freeze([]);

function added<Item>(list: Item[] | null, item: Item): Item[] {
  if (list === null) return [item];
  list.push(item);
  return list;
}

/** A message in several fields of one number is one message (protobuf's rule). */
function joined(parts: readonly Uint8Array[]): Uint8Array {
  const [first = noBytes] = parts;
  return parts.length <= 1 ? first : Buffer.concat(parts);
}

function namesIn(run: Uint8Array, limits: RequestLimits): readonly string[] {
  const names: string[] = [];
  eachBody(run, (from, to) => names.push(checked(textIn(run, from, to), limits)));
  return names;
}

function checked(name: string, limits: RequestLimits): string {
  if (name.length > limits.nameBytes)
    throw new Error(`a resource name is longer than ${limits.nameBytes} bytes`);
  return name;
}
