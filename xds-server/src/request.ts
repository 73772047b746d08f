import { fromBinary } from '@bufbuild/protobuf';
import { BinaryReader, WireType } from '@bufbuild/protobuf/wire';
import { StatusSchema } from '@weir/xds-ts/google/rpc/status';
import { type Claims, claimsOf, runEnd } from './claims.ts';
import type { Variant } from './events.ts';
import type { RequestLimits } from './limits.ts';

/** What both variants say in each request. */
interface Common {
  readonly typeUrl: string;
  readonly nonce: string;
  /** The client's words when it refuses the response of that nonce; null when it accepts. */
  readonly refusal: string | null;
  /** The serialized node: most requests after the first repeat it for nothing. */
  readonly node: () => Uint8Array;
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
  const reader = new BinaryReader(bytes);
  const nodes: Uint8Array[] = [];
  const subscribe: string[] = [];
  const unsubscribe: string[] = [];
  /** The long lists stand as runs of bytes, which are decoded only when they have to be. */
  const names: Uint8Array[] = [];
  const claims: Uint8Array[] = [];
  let [typeUrl, nonce, version] = ['', '', ''];
  let refusal: string | null = null;

  function run(from: number, wireType: WireType): Uint8Array {
    if (wireType !== WireType.LengthDelimited) throw new Error('a list of names or versions is none');
    reader.pos = runEnd(bytes, from);
    return bytes.subarray(from, reader.pos);
  }

  while (reader.pos < reader.len) {
    const start = reader.pos;
    const [number, wireType] = reader.tag();
    switch (number) {
      case field.node:
        nodes.push(reader.bytes());
        break;
      case field.typeUrl:
        typeUrl = reader.string(true);
        break;
      case field.names:
        if (variant === 'delta') subscribe.push(checked(reader.string(true), limits));
        else names.push(run(start, wireType));
        break;
      case field.unsubscribe:
        unsubscribe.push(checked(reader.string(true), limits));
        break;
      case field.versions:
        claims.push(run(start, wireType));
        break;
      case field.nonce:
        nonce = reader.string(true);
        break;
      case field.error:
        refusal = fromBinary(StatusSchema, reader.bytes()).message || 'the client gave no reason';
        break;
      case field.version:
        version = reader.string(true);
        break;
      default:
        reader.skip(wireType, number);
    }
  }
  const node = (): Uint8Array => Buffer.concat(nodes);
  const common = { typeUrl, nonce, refusal, node };
  if (variant === 'delta')
    return { ...common, variant, subscribe, unsubscribe, claims: claimsOf(claims, limits) };
  return {
    ...common,
    variant,
    version,
    namesKey: names.length > 1 ? bytes : (names[0] ?? noNames),
    names: () => names.flatMap((run) => namesIn(run, limits)),
  };
}

const noNames = new Uint8Array(0);

function namesIn(bytes: Uint8Array, limits: RequestLimits): readonly string[] {
  const reader = new BinaryReader(bytes);
  const names: string[] = [];
  while (reader.pos < reader.len) {
    reader.tag();
    names.push(checked(reader.string(true), limits));
  }
  return names;
}

function checked(name: string, limits: RequestLimits): string {
  if (name.length > limits.nameBytes)
    throw new Error(`a resource name is longer than ${limits.nameBytes} bytes`);
  return name;
}
