import { any } from '../any.ts';
import { type Encoded, field, joined } from '../wire.ts';

/** Key and value of an entry of a protobuf map. */
const mapKey = 1;
const mapValue = 2;

/** An entry of `typed_per_filter_config`: what a filter of the listener does for these routes. */
export function perFilterConfig(filter: string, typeUrl: string, message: Encoded): Encoded {
  return joined(field(mapKey, filter), field(mapValue, any(typeUrl, message)));
}
