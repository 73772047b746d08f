export {
  type AccessLogReceiver,
  type AccessLogReceiverOptions,
  createAccessLogReceiver,
} from './access-log-receiver.ts';
export type { Peer, RequestDenial, RequestRecord, RequestVerdict } from './access-record.ts';
export { type BootstrapOptions, envoyBootstrap } from './bootstrap.ts';
export { type ClassInput, compileClass, compileShared } from './compile.ts';
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
export { type ListenerReadyOptions, listenersReady } from './listener-ready.ts';
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
