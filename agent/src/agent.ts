import { randomUUID } from 'node:crypto';
import { mkdirSync } from 'node:fs';
import { listeningPorts, openDatapath, probeFeatures, watchLinks } from '@weir/bpf';
import {
  compileShared,
  createAccessLogReceiver,
  createClassCompiler,
  defaultLimits,
  listenersReady,
  maxRouteBytes,
  type ProxySettings,
  proxyPort,
  readKafkaFilter,
  socketMark,
} from '@weir/envoy-config';
import { createEngine, reservedIdentities } from '@weir/l7-policy';
import { installRouting, openRedirector, speaksIpv6 } from '@weir/redirect';
import { createXdsServer } from '@weir/xds-server';
import type { Logger } from 'pino';
import { createApi } from './api/api.ts';
import { refuseSecondAgent, serveControl } from './api/control-server.ts';
import { createController } from './controller.ts';
import { createDirectory } from './flows/directory.ts';
import { createFlowLog } from './flows/flow-log.ts';
import { flowFromAccessLog } from './flows/from-access-log.ts';
import { flowFromDatapath } from './flows/from-datapath.ts';
import { flowFromKafka } from './flows/from-kafka.ts';
import { createPlaces } from './flows/places.ts';
import { createRequestCounters } from './flows/request-counters.ts';
import { retirePredecessors, startHousekeeping } from './housekeeping.ts';
import { acceptLocal } from './network/accept-local.ts';
import { ensureBpffs } from './network/bpffs.ts';
import { checkKernel } from './network/check-kernel.ts';
import { stopEarlyDemux } from './network/early-demux.ts';
import { createInterfaces } from './network/interfaces.ts';
import { checkPortRange, isListenedOn } from './network/port-range.ts';
import { runIp } from './network/run-ip.ts';
import { type AgentOptions, CLUSTER_NAME, socketPaths } from './options.ts';
import { engineOptions } from './policies/engine-options.ts';
import { createPolicyParser } from './policies/policy-parser.ts';
import { createPolicySource } from './policies/policy-source.ts';
import { createSecretSource } from './policies/secret-source.ts';
import { envoyOf } from './proxy/envoy.ts';
import { locateProblem } from './proxy/locate-problem.ts';
import { createProxyClasses } from './proxy/proxy-classes.ts';
import { createXdsPublisher, xdsResource } from './proxy/xds-publisher.ts';
import { createIdentityAllocator } from './state/identity-allocator.ts';
import { createLastGood } from './state/last-good.ts';
import { createStateStore } from './state/state-store.ts';
import { allocationStore, workloadStore } from './state/stored.ts';
import { createSync } from './sync.ts';
import { version } from './version.ts';
import { parseWorkloadBody } from './workloads/parse-workload-body.ts';
import { createWorkloadRegistry } from './workloads/workload-registry.ts';
import { createWorkloads } from './workloads/workloads.ts';
import { createWorkloadsFile } from './workloads/workloads-file.ts';

/** A running agent. */
export interface Agent {
  /**
   * Ends the agent and nothing else: the kernel goes on enforcing, Envoy keeps serving, and the next
   * agent of the instance takes over.
   */
  stop(): Promise<void>;
}

const FLOWS_KEPT = 10_000;
const ENVOY_START_MS = 15_000;
/** What a response needs besides its largest resource. */
const RESPONSE_REST_BYTES = 64 * 1024;

/**
 * Starts an agent in the current network namespace. Whatever an earlier agent of the instance left is
 * taken over, and nothing of it is changed before all facts are read. Throws when a part cannot start;
 * what was in force then stays in force.
 */
export async function startAgent(options: AgentOptions, log: Logger): Promise<Agent> {
  const { instance } = options;
  const startedAt = new Date();
  const sockets = socketPaths(options.runDirectory);
  await refuseSecondAgent(sockets.control);
  checkPortRange(options.proxyPorts);
  mkdirSync(options.runDirectory, { recursive: true, mode: 0o700 });
  const store = createStateStore(options.stateDirectory);
  const after = (delayMs: number, callback: () => void): void => void setTimeout(callback, delayMs).unref();

  // The kernel: what stands there is read, not changed.
  await ensureBpffs(options.bpffs);
  const asked = { guard: options.workloadPrefixes.length > 0 };
  for (const feature of checkKernel(probeFeatures(options.bpffs, undefined, asked)))
    log.warn({ feature }, 'the kernel lacks something; Weir does without');
  const datapath = openDatapath({
    instance: instance.name,
    marks: instance.marks,
    bpffs: options.bpffs,
    accelerate: options.accelerate,
  });
  if (options.accelerate === 'on' && datapath.acceleration.kind === 'off')
    log.warn({ reason: datapath.acceleration.reason }, 'connections are not accelerated');
  await installRouting(instance, runIp);
  stopEarlyDemux(store);
  const redirector = openRedirector(datapath, allocationStore(createStateStore(options.runDirectory)), {
    ...options.proxyPorts,
    isTaken: isListenedOn,
  });

  // Policy: facts come from the workloads and the policy folder.
  const kafkaFilter = readKafkaFilter();
  const engineSettings = engineOptions(createIdentityAllocator(store), kafkaFilter.digest);
  const engine = createEngine(engineSettings);
  const policyParser = createPolicyParser(engineSettings);
  const flows = createFlowLog(FLOWS_KEPT);
  const counters = createRequestCounters();
  const directory = createDirectory(engine, reservedIdentities.world);
  const compiler = createClassCompiler(randomUUID);
  const places = createPlaces(engine, compiler);

  // The proxy: its server answers nobody before the first turn has said what there is.
  const settings: ProxySettings = {
    proxyMark: socketMark(instance.marks.proxy),
    ipv6: speaksIpv6(),
    accessLog: true,
    kafkaFilter,
    limits: defaultLimits,
  };
  const xds = createXdsServer({ hold: true, limits: { responseBytes: maxRouteBytes + RESPONSE_REST_BYTES } });
  const accessLog = await createAccessLogReceiver({
    socketPath: sockets.accessLog,
    onKafkaReports: (reports) => {
      for (const report of reports) {
        const flow = flowFromKafka(report, directory, places);
        counters.add(flow);
        flows.add(flow);
      }
    },
    onRecords: (records) => {
      for (const record of records) {
        const flow = flowFromAccessLog(record, directory, places);
        counters.add(flow);
        flows.add(flow);
      }
    },
    onProblem: (message) => log.warn({ message }, 'access log'),
  });
  const envoy =
    options.envoyBinary === null
      ? null
      : envoyOf(options, options.envoyBinary, store, (event) => log.info(event, 'envoy'));
  const proxy = createProxyClasses({
    publisher: createXdsPublisher(xds),
    compile: (wanted) => {
      const input = { ...wanted, port: proxyPort(wanted.port) };
      const compiled = locateProblem(compiler.compileClass(input, settings), places);
      if (compiled.kind === 'refused') log.error({ class: wanted.id, ...compiled.problem }, 'proxy');
      return compiled;
    },
    listening: (ports) =>
      listenersReady({
        ports: ports.map(proxyPort),
        ipv6: settings.ipv6,
        listening: listeningPorts,
        deadlineMs: ENVOY_START_MS,
      }),
    onProgress: () => void controller.turn(),
    after,
  });

  // Everything meets here.
  const interfaces = createInterfaces({
    ip: runIp,
    uplinks: options.uplinks,
    onWorkloadLink: (name) => acceptLocal(name, true),
  });
  const controller = createController({
    engine,
    redirector,
    proxy,
    interfaces,
    workloadPrefixes: options.workloadPrefixes,
    denyActionOf: (workload) => registry.get(workload)?.denyAction ?? options.denyAction,
    endRevoked: datapath.endRevoked,
    onDelta: directory.update,
    after,
    log,
  });
  xds.subscribe((event) => {
    if (event.kind === 'client-disconnected') proxy.lost();
    if (event.kind === 'quarantined') log.error(event.refusal, 'envoy refused a resource');
  });

  // Facts, all of them before the first turn.
  const onError = (error: unknown): void => log.error({ err: error }, 'watching files');
  const lastGood = createLastGood(store);
  const added = workloadStore(store, parseWorkloadBody);
  const registry = createWorkloadRegistry(added.load(), added.save);
  const workloads = createWorkloads({
    registry,
    interfaces,
    clusterName: CLUSTER_NAME,
    change: controller.change,
  });
  const workloadsFile =
    options.workloadsFile === null
      ? null
      : createWorkloadsFile(options.workloadsFile, lastGood, workloads.replaceFile, onError);
  const policies = createPolicySource({
    directory: options.policyDirectory,
    parser: policyParser,
    lastGood,
    change: controller.change,
    onProblem: (problem) => log[problem.severity === 'error' ? 'error' : 'warn'](problem, 'policy'),
    onError,
  });
  const secrets = createSecretSource({
    directory: options.secretDirectory,
    variables: options.secretVariables,
    change: controller.change,
    onProblem: (file, reason) => log.error({ file, reason }, 'a secret keeps its last value'),
    onError,
  });
  await secrets.scan();
  await workloads.start();
  await workloadsFile?.scan();
  await policies.scan();

  // Effects.
  xds.update({ set: compileShared(settings).map(xdsResource) });
  await xds.listen({ kind: 'unix', path: sockets.xds, mode: 0o600 });
  await envoy?.start();
  await controller.start();
  retirePredecessors(controller, datapath);
  xds.ready();
  const events = datapath.readEvents((batch) => {
    for (const event of batch) flows.add(flowFromDatapath(event, directory, new Date()));
  });
  const housekeeping = startHousekeeping({
    controller,
    workloads,
    redirector,
    proxy,
    datapath,
    watchLinks,
    log,
  });
  const sync = createSync({
    scans: [secrets.scan, async () => workloadsFile?.scan(), policies.scan, workloads.look],
    controller,
    proxy,
  });
  const control = await serveControl(
    sockets.control,
    createApi({
      options,
      version,
      startedAt,
      engine,
      controller,
      datapath,
      redirector,
      proxy,
      envoy,
      proxyConnected: () => xds.clients().length > 0,
      accessLog,
      flows,
      counters,
      policies,
      interfaces,
      registry,
      workloads,
      workloadProblems: () => workloadsFile?.problems() ?? [],
      sync,
    }),
  );
  log.info({ instance: instance.name, pid: process.pid, control: sockets.control }, 'agent is ready');

  return {
    async stop() {
      housekeeping.close();
      policies.close();
      await policyParser.close();
      secrets.close();
      workloadsFile?.close();
      await control.close();
      proxy.close();
      await events.close();
      envoy?.detach();
      await accessLog.close();
      await xds.close();
      datapath.close();
    },
  };
}
