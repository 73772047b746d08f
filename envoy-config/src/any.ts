import { AnySchema } from '@bufbuild/protobuf/wkt';
import { type Encoded, field, joined } from './wire.ts';

/** A google.protobuf.Any around a message. */
export function any(typeUrl: string, message: Encoded): Encoded {
  return joined(field(AnySchema.field.typeUrl.number, typeUrl), field(AnySchema.field.value.number, message));
}
