export { type AccessLogCounts, accessLogCounts } from './access-log-drops.ts';
export {
  type AccessLogReceiver,
  type AccessLogReceiverOptions,
  createAccessLogReceiver,
} from './access-log-receiver.ts';
export type { Peer, RequestDenial, RequestRecord, RequestVerdict } from './access-record.ts';
export { type BootstrapOptions, envoyBootstrap } from './bootstrap.ts';
export { originalDestination } from './cluster.ts';
export {
  type ClassCompiler,
  type ClassInput,
  compileClass,
  compileClassRoutes,
  compileShared,
  createClassCompiler,
  servedKinds,
} from './compile.ts';
export { type AdminAnswer, askAdmin } from './envoy-admin.ts';
export {
  createEnvoyProcess,
  type EnvoyEvent,
  type EnvoyProcess,
  type EnvoyProcessOptions,
  type EnvoyState,
  type ProcessRecord,
  type ProcessStore,
  type ProcessWatch,
} from './envoy-process.ts';
export { checkEnvoyVersion, type EnvoyVersionCheck } from './envoy-version.ts';
export { maskedValue } from './http/header-log.ts';
export { refusalBody } from './http/route-action.ts';
export { maxRouteBytes, plainHost, traversal } from './http/routes.ts';
export { type KafkaFilterInput, kafkaFilterConfig } from './kafka/filter-config.ts';
export {
  createKafkaFilterInNode,
  type KafkaConnectionInNode,
  type KafkaFilterInNode,
  type KafkaFilterLimits,
} from './kafka/filter-in-node.ts';
export { type KafkaFilter, readKafkaFilter } from './kafka/kafka-filter.ts';
export type { KafkaReport, KafkaTopic } from './kafka/kafka-report.ts';
export { type ListenerReadyOptions, listenersReady } from './listener-ready.ts';
export { isAlive, type ProcessIdentity, processIdentity } from './proc.ts';
export { type RegexShape, regexShape } from './regex/shape.ts';
export {
  type Compiled,
  type CompileProblem,
  type EnvoyResource,
  type ResourceTypeUrl,
  typeUrls,
} from './resource.ts';
export {
  defaultLimits,
  type ProxyLimits,
  type ProxyPort,
  type ProxySettings,
  proxyPort,
  type SocketMark,
  socketMark,
} from './settings.ts';
