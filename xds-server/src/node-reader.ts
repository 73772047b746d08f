import { createHash } from 'node:crypto';
import { fromBinary } from '@bufbuild/protobuf';
import { BinaryReader } from '@bufbuild/protobuf/wire';
import { type Node, NodeSchema } from '@weir/xds-ts/envoy/config/core/v3/base';
import type { ClientNode } from './client.ts';

/** Reads the node of a stream's first request. Throws on what is no such message. */
export type NodeReader = (bytes: Uint8Array) => ClientNode;

type Extensions = Pick<ClientNode, 'extensions' | 'extensionTypeUrls'>;

const noExtensions: Extensions = { extensions: new Set<string>(), extensionTypeUrls: new Set<string>() };
/** Of Node in base.proto. */
const extensionsField = 9;
/** Different builds of clients that are remembered. */
const rememberedBuilds = 32;

/**
 * An Envoy names every extension that is built in: thousands of strings, the same for all of its
 * build. They are decoded once, and all clients of a build share them.
 */
export function createNodeReader(): NodeReader {
  const builds = new Map<string, Extensions>();

  function extensionsOf(runs: readonly Uint8Array[]): Extensions {
    if (runs.length === 0) return noExtensions;
    const hash = createHash('sha256');
    for (const run of runs) hash.update(run);
    const key = hash.digest('base64');
    const known = builds.get(key) ?? decodedExtensions(Buffer.concat(runs));
    builds.delete(key);
    builds.set(key, known);
    for (const oldest of builds.keys()) {
      if (builds.size <= rememberedBuilds) break;
      builds.delete(oldest);
    }
    return known;
  }

  return (bytes) => {
    const { extensions, rest } = parted(bytes);
    const node = fromBinary(NodeSchema, rest);
    return Object.freeze({
      id: node.id,
      cluster: node.cluster,
      locality: Object.freeze({
        region: node.locality?.region ?? '',
        zone: node.locality?.zone ?? '',
        subZone: node.locality?.subZone ?? '',
      }),
      metadata: Object.freeze({ ...node.metadata }),
      userAgent: Object.freeze({ name: node.userAgentName, version: userAgentVersion(node) }),
      ...extensionsOf(extensions),
      clientFeatures: new Set(node.clientFeatures),
    });
  };
}

/** The fields that are extensions, and all others. */
function parted(bytes: Uint8Array): {
  readonly extensions: readonly Uint8Array[];
  readonly rest: Uint8Array;
} {
  const reader = new BinaryReader(bytes);
  const extensions: Uint8Array[] = [];
  const rest: Uint8Array[] = [];
  while (reader.pos < reader.len) {
    const start = reader.pos;
    const [field, wireType] = reader.tag();
    reader.skip(wireType, field);
    (field === extensionsField ? extensions : rest).push(bytes.subarray(start, reader.pos));
  }
  return { extensions, rest: Buffer.concat(rest) };
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
