// The types themselves are one subpath per proto file: `@weir/xds-ts/envoy/config/listener/v3/listener`.
export { envoyTypes } from './envoy-types.ts';
export { envoyVersion } from './envoy-version.ts';
export { type TypeUrl, typeUrlOf } from './type-url.ts';
