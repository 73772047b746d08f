import { createHash } from 'node:crypto';
import { fromBinary } from '@bufbuild/protobuf';
import { type Node, NodeSchema } from '@weir/xds-ts/envoy/config/core/v3/base';
import type { ClientNode } from './client.ts';
import { bodyOf, fieldEnd, isPlain, textIn } from './fields.ts';
import { forgetOldest } from './forget-oldest.ts';

/** Reads the node of a stream's first request. Throws on what is no such message. */
export type NodeReader = (bytes: Uint8Array) => ClientNode;

type Description = Omit<ClientNode, 'id' | 'extensions' | 'extensionTypeUrls'>;
type Extensions = Pick<ClientNode, 'extensions' | 'extensionTypeUrls'>;

const noExtensions: Extensions = { extensions: new Set<string>(), extensionTypeUrls: new Set<string>() };
/** Of Node in base.proto. */
const idField = 1;
const extensionsField = 9;
/** Different builds of clients, and different nodes but for their ids. */
const remembered = 32;
const longestKey = 1_024;

/**
 * An Envoy names every extension that is built in: thousands of strings, the same for all of its
 * build. They are decoded once, and all clients of a build share them; so do clients that differ in
 * nothing but their id.
 */
export function createNodeReader(): NodeReader {
  const builds = new Map<string, Extensions>();
  // The first one takes milliseconds, in which the types get ready; no client should wait for that.
  const descriptions = new Map([['', described(fromBinary(NodeSchema, new Uint8Array(0)))]]);

  function extensionsOf(runs: readonly Uint8Array[]): Extensions {
    if (runs.length === 0) return noExtensions;
    const hash = createHash('sha256');
    for (const run of runs) hash.update(run);
    const key = hash.digest('base64');
    const known = builds.get(key) ?? decodedExtensions(Buffer.concat(runs));
    remember(builds, key, known);
    return known;
  }

  function descriptionOf(bytes: Buffer): Description {
    const key = bytes.length <= longestKey ? bytes.toString('latin1') : null;
    const known =
      (key === null ? undefined : descriptions.get(key)) ?? described(fromBinary(NodeSchema, bytes));
    if (key !== null) remember(descriptions, key, known);
    return known;
  }

  return (bytes) => {
    const { id, extensions, rest } = parted(bytes);
    return Object.freeze({ id, ...descriptionOf(rest), ...extensionsOf(extensions) });
  };
}

function remember<Value>(known: Map<string, Value>, key: string, value: Value): void {
  known.delete(key);
  known.set(key, value);
  forgetOldest(known, remembered);
}

function described(node: Node): Description {
  return Object.freeze({
    cluster: node.cluster,
    locality: Object.freeze({
      region: node.locality?.region ?? '',
      zone: node.locality?.zone ?? '',
      subZone: node.locality?.subZone ?? '',
    }),
    metadata: Object.freeze({ ...node.metadata }),
    userAgent: Object.freeze({ name: node.userAgentName, version: userAgentVersion(node) }),
    clientFeatures: new Set(node.clientFeatures),
  });
}

/** The id, the fields that are extensions, and all others. */
function parted(bytes: Uint8Array): {
  readonly id: string;
  readonly extensions: readonly Uint8Array[];
  readonly rest: Buffer;
} {
  let id = '';
  const extensions: Uint8Array[] = [];
  const rest: Uint8Array[] = [];
  for (let at = 0; at < bytes.length; ) {
    const tag = bytes[at] ?? 0;
    const end = fieldEnd(bytes, at);
    const field = isPlain(tag) ? tag >>> 3 : 0;
    if (field === idField) id = textIn(bytes, bodyOf(bytes, at).from, end);
    else (field === extensionsField ? extensions : rest).push(bytes.subarray(at, end));
    at = end;
  }
  return { id, extensions, rest: Buffer.concat(rest) };
}

function decodedExtensions(bytes: Uint8Array): Extensions {
  const enabled = fromBinary(NodeSchema, bytes).extensions.filter((extension) => !extension.disabled);
  return {
    extensions: new Set(enabled.map((extension) => extension.name)),
    extensionTypeUrls: new Set(enabled.flatMap((extension) => extension.typeUrls)),
  };
}

function userAgentVersion(node: Node): string {
  const version = node.userAgentVersionType;
  if (version?.case === 'userAgentVersion') return version.value;
  const build = version?.case === 'userAgentBuildVersion' ? version.value.version : undefined;
  return build === undefined ? '' : `${build.majorNumber}.${build.minorNumber}.${build.patch}`;
}
