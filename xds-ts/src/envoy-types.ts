import { readFileSync } from 'node:fs';
import { createFileRegistry, type FileRegistry, fromBinary } from '@bufbuild/protobuf';
import { FileDescriptorSetSchema } from '@bufbuild/protobuf/wkt';

/**
 * Every type of the committed descriptor set, for what meets types by name only: proto JSON with
 * `@type`, unpacking of `google.protobuf.Any`. Reads the set from disk (about 30 ms), so call it once.
 * Code that knows its types imports them instead.
 */
export function envoyTypes(): FileRegistry {
  const set = readFileSync(new URL('../envoy.binpb', import.meta.url));
  return createFileRegistry(fromBinary(FileDescriptorSetSchema, set));
}
