import { HeaderValueOption_HeaderAppendAction as Append } from '@weir/xds-ts/envoy/config/core/v3/base';
import { HeaderMutationSchema } from '@weir/xds-ts/envoy/extensions/filters/http/header_mutation/v3/header_mutation';
import { HeaderMutationSchema as EarlyHeaderMutationSchema } from '@weir/xds-ts/envoy/extensions/http/early_header_mutation/header_mutation/v3/header_mutation';
import { type Extension, extension, type TypedConfig, typedConfig } from '../typed-config.ts';

/** The header that Envoy adds to every request that lacks it; there is no switch against that. */
const added = 'x-forwarded-proto';
/** Carries what the client itself sent past the place where Envoy adds. Removed before the server sees it. */
const carrier = 'x-weir-forwarded-proto';

const move = (from: string, to: string) =>
  [
    { action: { case: 'remove', value: to } },
    {
      action: {
        case: 'append',
        value: {
          header: { key: to, value: `%REQ(${from})%` },
          appendAction: Append.ADD_IF_ABSENT,
          keepEmptyValue: false,
        },
      },
    },
  ] as const;

/** Runs before Envoy adds the header: keeps the client's own aside. */
export function keepForwardedProto(): TypedConfig {
  return typedConfig('envoy.http.early_header_mutation.header_mutation', EarlyHeaderMutationSchema, {
    mutations: [...move(added, carrier)],
  });
}

/** Runs last before the router: puts back the client's own, or none. */
export function restoreForwardedProto(): Extension {
  return extension(
    typedConfig('envoy.filters.http.header_mutation', HeaderMutationSchema, {
      mutations: {
        requestMutations: [...move(carrier, added), { action: { case: 'remove', value: carrier } }],
      },
    }),
  );
}
