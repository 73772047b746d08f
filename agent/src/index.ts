export { type Agent, startAgent } from './agent.ts';
export type { Status } from './api/api-types.ts';
export { type ControlClient, ControlError, controlClient } from './api/control-client.ts';
export { cleanUp } from './cleanup.ts';
export { createNetwork, type DemoNetwork, type Pod, removeNetwork } from './demo/network.ts';
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
  exampleText,
  PODS,
  type Stage,
  type StageNames,
  setStage,
  stageNames,
  weir,
} from './demo/stage.ts';
export { tellStory } from './demo/story.ts';
export { watchFolder } from './files/watch-folder.ts';
export type { Flow, FlowPeer, FlowRequest, FlowRule, FlowVerdict } from './flows/flow.ts';
export { type AgentOptions, type AgentWords, agentOptions, runDirectory, socketPaths } from './options.ts';
export { createStateStore, type StateStore } from './state/state-store.ts';
export { parseWorkloads } from './workloads/parse-workloads.ts';
export type { Workload } from './workloads/workload.ts';
