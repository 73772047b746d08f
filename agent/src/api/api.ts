import type { Datapath } from '@weir/bpf';
import { type AccessLogReceiver, accessLogCounts, type EnvoyProcess } from '@weir/envoy-config';
import type { Engine, Problem } from '@weir/l7-policy';
import type { Redirector } from '@weir/redirect';
import type { Controller } from '../controller.ts';
import { explainQuery } from '../explain/explain-query.ts';
import type { FlowLog } from '../flows/flow-log.ts';
import type { RequestCounters } from '../flows/request-counters.ts';
import type { Interfaces } from '../network/interfaces.ts';
import { type AgentOptions, socketPaths } from '../options.ts';
import type { PolicySource } from '../policies/policy-source.ts';
import type { ProxyClasses } from '../proxy/proxy-classes.ts';
import type { WorkloadProblem } from '../workloads/parse-workloads.ts';
import type { WorkloadRegistry } from '../workloads/workload-registry.ts';
import type { Workloads } from '../workloads/workloads.ts';
import type { Status } from './api-types.ts';
import type { Answer, ApiRequest, Handler } from './control-server.ts';
import { metricsText } from './metrics.ts';
import { ruleStatus } from './rules.ts';
import { classStatus, showHeld, workloadStatus } from './status.ts';

/** What the API shows and steers. */
export interface ApiParts {
  readonly options: AgentOptions;
  readonly version: string;
  readonly startedAt: Date;
  readonly engine: Engine;
  readonly controller: Controller;
  readonly datapath: Datapath;
  readonly redirector: Redirector;
  readonly proxy: ProxyClasses;
  /** Null when Envoy runs by itself. */
  readonly envoy: EnvoyProcess | null;
  readonly proxyConnected: () => boolean;
  readonly accessLog: AccessLogReceiver;
  readonly flows: FlowLog;
  readonly counters: RequestCounters;
  readonly policies: PolicySource;
  readonly interfaces: Interfaces;
  readonly registry: WorkloadRegistry;
  readonly workloadProblems: () => readonly WorkloadProblem[];
  readonly workloads: Workloads;
  /** Resolves when everything in the policy folder is in force, or with what is not. */
  readonly sync: () => Promise<readonly string[]>;
}

/** Answers the requests of `weir status`, `weir rules`, `weir metrics`, `weir monitor`, `weir endpoint`, `weir policy explain` and `weir sync`. */
export function createApi(parts: ApiParts): Handler {
  return async (request) => {
    switch (`${request.method} ${request.path}`) {
      case 'GET /v1/status':
        return json(await statusOf(parts));
      case 'GET /v1/rules':
        return json(ruleStatus(parts.engine, parts.counters));
      case 'GET /v1/metrics':
        return { kind: 'text', text: await metricsOf(parts) };
      case 'GET /v1/flows':
        return flows(parts, request);
      case 'POST /v1/explain':
        return json(explainQuery(parts.engine, request.body));
      case 'POST /v1/sync':
        return json({ missing: await parts.sync() });
      case 'PUT /v1/endpoints':
        return json(await parts.workloads.add(request.body));
      case 'DELETE /v1/endpoints': {
        await parts.workloads.remove(request.query.get('name') ?? '');
        return json({});
      }
      default:
        return {
          kind: 'json',
          status: 404,
          body: { error: `there is no ${request.method} ${request.path}` },
        };
    }
  };
}

function flows({ flows: log }: ApiParts, { query }: ApiRequest): Answer {
  const last = Number(query.get('last') ?? '0');
  if (!Number.isInteger(last) || last < 0) throw new Error('`last` must be a whole number from 0');
  return {
    kind: 'flows',
    recent: last === 0 ? [] : log.last(last),
    follow: query.get('follow') === 'true' ? log.follow : null,
  };
}

async function metricsOf(parts: ApiParts): Promise<string> {
  return metricsText({
    status: await statusOf(parts),
    rules: ruleStatus(parts.engine, parts.counters),
    outcomes: parts.counters.outcomes(),
  });
}

async function statusOf(parts: ApiParts): Promise<Status> {
  const { options, engine, controller, datapath, proxy, envoy, policies, registry, interfaces } = parts;
  const { report, failure, turns, missingInterfaces } = controller.status;
  const problems = [...policies.problems(), ...engine.problems(), ...parts.workloadProblems().map(asProblem)];
  const classes = classStatus(engine, proxy, parts.redirector);
  const connected = parts.proxyConnected();
  return {
    instance: options.instance.name,
    version: parts.version,
    pid: process.pid,
    startedAt: parts.startedAt.toISOString(),
    healthy:
      failure === null &&
      connected &&
      report.held.length + report.unattached.length + missingInterfaces.length === 0 &&
      problems.every(({ severity }) => severity !== 'error') &&
      classes.every(({ state }) => state === 'ready'),
    envoy: {
      state: envoy?.state.kind ?? 'external',
      pid: envoy !== null && 'pid' in envoy.state ? envoy.state.pid : null,
      connected,
    },
    datapath: {
      adopted: datapath.adopted,
      counters: asNumbers(datapath.counters()),
      acceleration: datapath.acceleration,
      accelerationCounters: asNumbers(datapath.accelerationCounters()),
      turns,
      failure,
      maps: parts.redirector.usage(),
      held: report.held.map(showHeld),
    },
    workloads: workloadStatus(
      registry.all(),
      engine,
      interfaces.indexOf,
      controller.status,
      datapath.outcomes(),
    ),
    policies: { directory: options.policyDirectory, files: policies.files, problems },
    classes,
    flows: {
      total: parts.flows.total,
      accessLogUndecoded: parts.accessLog.undecoded,
      accessLogDropped: await accessLogCounts(socketPaths(options.runDirectory).admin).then(
        ({ dropped }) => dropped + parts.accessLog.droppedByFilter,
        () => null,
      ),
    },
  };
}

function json(body: unknown): Answer {
  return { kind: 'json', status: 200, body };
}

function asProblem(problem: WorkloadProblem): Problem {
  return { severity: 'error', hint: null, ...problem };
}

function asNumbers(counts: Readonly<Record<string, bigint>>): Readonly<Record<string, number>> {
  return Object.fromEntries(Object.entries(counts).map(([name, count]) => [name, Number(count)]));
}
