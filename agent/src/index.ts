export { type Agent, startAgent } from './agent.ts';
export type { Status } from './api/api-types.ts';
export { type ControlClient, ControlError, controlClient } from './api/control-client.ts';
export { type Handler, serveControl } from './api/control-server.ts';
export { type MetricSources, metricsText } from './api/metrics.ts';
export {
  type Broker,
  type BrokerOptions,
  brokerVersions,
  kafkaClassPath,
  startBroker,
} from './demo/broker.ts';
export { endingWithUs } from './demo/ending-with-us.ts';
export { clearKafkaStage } from './demo/kafka-stage.ts';
export {
  createNetwork,
  type DemoNetwork,
  type Pod,
  removeNamespaces,
  removeNetwork,
} from './demo/network.ts';
export { type StageNames, stageNames, weir } from './demo/node.ts';
export {
  launchServer,
  launchShip,
  type Outcome,
  type Server,
  type Ship,
  type ShipRequest,
} from './demo/ship.ts';
export {
  clearStage,
  DEATHSTAR,
  DEATHSTAR6,
  exampleText,
  PODS,
  type Stage,
  setStage,
} from './demo/stage.ts';
export { tellStory } from './demo/story.ts';
export { diffPolicies, type FlowChange } from './diff/diff-policies.ts';
export { explainQuery, type QueryExplanation } from './explain/explain-query.ts';
export { placeFile } from './files/place-file.ts';
export { watchFolder } from './files/watch-folder.ts';
export type { Flow, FlowPeer, FlowRequest, FlowRule, FlowVerdict } from './flows/flow.ts';
export { createFlowLog } from './flows/flow-log.ts';
export { createRequestCounters, type RequestCounters } from './flows/request-counters.ts';
export { checkKernel } from './network/check-kernel.ts';
export { type AgentOptions, type AgentWords, agentOptions, runDirectory, socketPaths } from './options.ts';
export { engineOptions } from './policies/engine-options.ts';
export { createPolicyParser, type PolicyParser } from './policies/policy-parser.ts';
export { createSecretSource } from './policies/secret-source.ts';
export {
  type ClassProgress,
  createProxyClasses,
  type InForce,
  type ProxyClasses,
  type ProxyPublisher,
  type WantedClass,
} from './proxy/proxy-classes.ts';
export { createLastGood, type LastGood } from './state/last-good.ts';
export { createStateStore, type StateStore } from './state/state-store.ts';
export { allocationStore } from './state/stored.ts';
export { uninstall } from './uninstall.ts';
export { parseWorkloads } from './workloads/parse-workloads.ts';
export type { Workload } from './workloads/workload.ts';
export { createWorkloadRegistry } from './workloads/workload-registry.ts';
