import { create, toBinary } from '@bufbuild/protobuf';
import { typeUrlOf } from '@weir/xds-ts';
import { ConfigSchema } from '@weir/xds-ts/envoy/extensions/filters/http/header_to_metadata/v3/header_to_metadata';
import { type Extension, extension, typedConfig } from '../typed-config.ts';
import { type Encoded, joined } from '../wire.ts';
import type { Condition } from './condition.ts';
import { perFilterConfig } from './per-filter-config.ts';

/** Where a request's logged headers stand in its metadata. */
export const headerNamespace = 'weir.headers';
/** What is logged in the place of a value that nobody may read. */
export const maskedValue = '***';

const filter = 'envoy.filters.http.header_to_metadata';
/** Headers that carry credentials by their nature, whatever a rule says of them. */
const credentials = new Set(['authorization', 'cookie', 'proxy-authorization']);

/** The filter of a listener. By itself it logs nothing; the routes bring the names. */
export function headerLogOf(): Extension {
  return extension(typedConfig(filter, ConfigSchema, {}));
}

/**
 * Logs the headers that these rules name with each request, as an entry of `typed_per_filter_config`; null when
 * they name none. Envoy keeps values of less than 8 KiB.
 */
export function headerLogConfig(conditions: readonly Condition[]): Encoded | null {
  const masked = new Map<string, boolean>();
  for (const { name, secret } of conditions.flatMap(({ named }) => named)) {
    masked.set(name, secret || credentials.has(name) || masked.get(name) === true);
  }
  if (masked.size === 0) return null;
  const requestRules = [...masked]
    .sort(([left], [right]) => (left < right ? -1 : 1))
    .map(([name, hidden]) => ({
      header: name,
      onHeaderPresent: {
        metadataNamespace: headerNamespace,
        key: name,
        value: hidden ? maskedValue : '',
      },
    }));
  const config = toBinary(ConfigSchema, create(ConfigSchema, { requestRules }));
  return perFilterConfig(filter, typeUrlOf(ConfigSchema), joined(config));
}
