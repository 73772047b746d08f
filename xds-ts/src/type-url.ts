import type { DescMessage } from '@bufbuild/protobuf';

/** How `google.protobuf.Any` and xDS name a message type: `type.googleapis.com/` and its full name. */
export type TypeUrl = `type.googleapis.com/${string}`;

/** The type URL of a message type. */
export function typeUrlOf(schema: DescMessage): TypeUrl {
  return `type.googleapis.com/${schema.typeName}`;
}
