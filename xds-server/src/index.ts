export type { Client, ClientId, ClientNode, Peer } from './client.ts';
export { type Clock, systemClock } from './clock.ts';
export { createXdsServer } from './create-xds-server.ts';
export { describeEvent, describeProblem, describeRefusal } from './describe-event.ts';
export type { Variant, XdsEvent } from './events.ts';
export type { InForce, InForceRequest, Outstanding, Refusal, RefusalReason, Target } from './in-force.ts';
export { defaultLimits, type Limits } from './limits.ts';
export type { Metrics } from './metrics.ts';
export {
  encodedResource,
  type Resource,
  type ResourceInput,
  type ResourceRef,
  resource,
  type Version,
} from './resource.ts';
export { type ParsedFile, type Problem, parseResourceFile } from './resource-file.ts';
export { resourceType, typeUrls } from './resource-types.ts';
export { type ServeDirectoryOptions, type ServedDirectory, serveDirectory } from './serve-directory.ts';
export {
  type Authorization,
  type LayerName,
  type ListenAddress,
  type Listening,
  type ResourceStatus,
  sharedLayer,
  type TlsOptions,
  type Update,
  type XdsServer,
  type XdsServerOptions,
} from './server.ts';
export { type EndStatus, type Session, statusCode, type Transport } from './transport.ts';
