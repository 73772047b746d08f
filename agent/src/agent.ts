import { existsSync, mkdirSync } from 'node:fs';
import { openDatapath, probeFeatures, watchProcess } from '@weir/bpf';
import {
  compileClass,
  compileShared,
  createAccessLogReceiver,
  createEnvoyProcess,
  defaultLimits,
  envoyBootstrap,
  listenersReady,
  type ProxySettings,
  proxyPort,
  socketMark,
} from '@weir/envoy-config';
import { createEngine, identity, type Problem, type RuleId, reservedIdentities } from '@weir/l7-policy';
import { installRouting, openRedirector } from '@weir/redirect';
import type { Logger } from 'pino';
import { createApi } from './api/api.ts';
import { type ControlServer, serveControl } from './api/control-server.ts';
import { createController } from './controller.ts';
import { createDirectory } from './flows/directory.ts';
import { createFlowLog } from './flows/flow-log.ts';
import { flowFromAccessLog } from './flows/from-access-log.ts';
import { flowFromDatapath } from './flows/from-datapath.ts';
import { createInterfaces } from './network/interfaces.ts';
import { checkPortRange } from './network/port-range.ts';
import { runIp } from './network/run-ip.ts';
import { type AgentOptions, socketPaths } from './options.ts';
import { createPolicySource } from './policies/policy-source.ts';
import { createProxyClasses } from './proxy/proxy-classes.ts';
import { createXdsPublisher } from './proxy/xds-publisher.ts';
import { createIdentityAllocator } from './state/identity-allocator.ts';
import { createStateStore } from './state/state-store.ts';
import { allocationStore, processStore, workloadStore } from './state/stored.ts';
import { endpointFact } from './workloads/endpoint-fact.ts';
import { parseWorkloadBody } from './workloads/parse-workload-body.ts';
import { createWorkloadRegistry } from './workloads/workload-registry.ts';
import { createWorkloadsFile } from './workloads/workloads-file.ts';

/** A running agent. */
export interface Agent {
  /**
   * Ends the agent and nothing else: the kernel goes on enforcing, Envoy keeps serving, and the next
   * agent of the instance takes over.
   */
  stop(): Promise<void>;
}
