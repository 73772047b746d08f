import type { DenyAction } from '@weir/bpf';
import { servedKinds } from '@weir/envoy-config';
import type {
  DirectionChange,
  DirectionId,
  Engine,
  EngineChange,
  EngineDelta,
  EngineState,
  L7SetId,
  L7Slot,
  Problem,
} from '@weir/l7-policy';
import { type ApplyReport, type DesiredEndpoint, isNearlyFull, type Redirector } from '@weir/redirect';
import type { Logger } from 'pino';
import type { Interfaces } from './network/interfaces.ts';
import type { ProxyClasses } from './proxy/proxy-classes.ts';

/** What the controller acts on and with. */
export interface ControllerParts {
  readonly engine: Engine;
  readonly redirector: Redirector;
  readonly proxy: ProxyClasses;
  readonly interfaces: Pick<Interfaces, 'indexOf' | 'uplinks'>;
  /** Where only workloads of this node have addresses. */
  readonly workloadPrefixes: readonly string[];
  /** What connections hear that a workload's policy refuses. */
  readonly denyActionOf: (workload: string) => DenyAction;
  /** Ends connections that have lost their permission; gives how many sockets of the proxy were closed. */
  readonly endRevoked: () => number;
  /** Told of each update before it takes effect. */
  readonly onDelta: (delta: EngineDelta) => void;
  /** Calls back once after that time; the agent's clock. */
  readonly after: (delayMs: number, callback: () => void) => void;
  readonly log: Logger;
}

/** Brings proxy and kernel to what the engine says, one turn at a time. */
export interface Controller {
  /** Takes the first turn. Facts that come before wait for it: half the facts would open what the others close. */
  start(): Promise<void>;
  /** Applies facts; resolves with their problems when a turn that carries them has ended. */
  change(changes: readonly EngineChange[]): Promise<readonly Problem[]>;
  /** Asks for a turn, because something besides the facts has changed. Resolves when it has ended. */
  turn(): Promise<void>;
  readonly status: ControllerStatus;
}

/** What the last turn did and could not do. */
export interface ControllerStatus {
  /** Turns since the start. */
  readonly turns: number;
  readonly report: ApplyReport;
  /** Workloads whose interface is not there. */
  readonly missingInterfaces: readonly string[];
  /** Why the last turn was given up; it is tried again. */
  readonly failure: string | null;
}

const RETRY_MS = 1_000;

/**
 * Turns never overlap, and whatever arrives during one is taken by the next, so that a burst of changes
 * costs two turns. A turn publishes to the proxy first and then writes to the kernel what the proxy is
 * ready for; readiness, when it comes, asks for another turn.
 */
export function createController(parts: ControllerParts): Controller {
  const { engine, redirector, proxy, interfaces, endRevoked, onDelta, after, log } = parts;
  const { workloadPrefixes, denyActionOf } = parts;
  let status: ControllerStatus = {
    turns: 0,
    report: { held: [], unattached: [], switched: [] },
    missingInterfaces: [],
    failure: null,
  };
  let last: Promise<void> = Promise.resolve();
  let waiting: Promise<void> | undefined;
  let started = false;
  /** Maps that were told of as nearly full. */
  const fullMaps = new Set<string>();
  /** What has happened to direction policies since they were last applied. */
  const steps = new Map<DirectionId, DirectionChange[]>();

  function turn(): Promise<void> {
    if (!started) return last;
    waiting ??= last.then(() => {
      waiting = undefined;
      takeTurn();
    });
    last = waiting;
    return waiting;
  }

  function takeTurn(): void {
    const turns = status.turns + 1;
    try {
      status = { turns, failure: null, ...bringAbout(engine.state()) };
    } catch (error) {
      log.error({ err: error }, 'a turn was given up; what was in force stays, and it is tried again');
      status = { ...status, turns, failure: String(error) };
      after(RETRY_MS, () => void turn());
    }
  }

  function bringAbout(state: EngineState): Pick<ControllerStatus, 'report' | 'missingInterfaces'> {
    const classes = new Map([...state.classes].filter(([, { kind }]) => servedKinds.has(kind)));
    proxy.want(
      [...classes.values()].map(({ id, kind, egress, ingress }) => ({
        id,
        kind,
        port: redirector.portOf(id),
        egress: slotsOf(state, egress),
        ingress: slotsOf(state, ingress),
      })),
    );
    const endpoints: DesiredEndpoint[] = [];
    const missingInterfaces: string[] = [];
    for (const { id, identity, subject, addresses } of state.endpoints.values()) {
      const ifindex = interfaces.indexOf(id);
      if (ifindex === undefined) missingInterfaces.push(id);
      else endpoints.push({ name: id, ifindex, identity, subject, addresses, denyAction: denyActionOf(id) });
    }
    const { subjects, directions, ipcache, sets } = state;
    const report = redirector.apply({
      endpoints,
      uplinks: interfaces.uplinks(),
      workloadPrefixes,
      subjects,
      directions,
      steps,
      ipcache,
      sets,
      classes,
      ready: proxy.ready(),
    });
    steps.clear();
    const closed = endRevoked();
    if (closed > 0)
      log.info({ sockets: closed }, 'connections through the proxy that lost their permission were closed');
    for (const { endpoint, error } of report.unattached)
      log.error({ endpoint, err: error }, 'endpoint not protected');
    for (const item of report.held) log.warn(item, 'a new version is held back; the last one stays in force');
    warnOfFullMaps();
    return { report, missingInterfaces };
  }

  /** Once for each map that comes near its end. */
  function warnOfFullMaps(): void {
    for (const usage of redirector.usage()) {
      if (!isNearlyFull(usage)) fullMaps.delete(usage.map);
      else if (!fullMaps.has(usage.map)) {
        fullMaps.add(usage.map);
        log.warn(usage, 'a policy map is nearly full: what does not fit will be refused');
      }
    }
  }

  return {
    get status() {
      return status;
    },
    start() {
      started = true;
      return turn();
    },
    turn,
    async change(changes) {
      const { delta, problems } = engine.apply(changes);
      onDelta(delta);
      for (const change of delta.directions.changed) {
        const { id } = change.after;
        steps.set(id, [...(steps.get(id) ?? []), change]);
      }
      await turn();
      return problems;
    },
  };
}

/** The slots of one side of a class; null where the side asks for no L7. */
function slotsOf(state: EngineState, set: L7SetId | null): readonly L7Slot[] | null {
  if (set === null) return null;
  return (state.sets.get(set)?.slots ?? []).map((id) => {
    const slot = state.slots.get(id);
    if (slot === undefined) throw new Error(`L7 set ${set} names slot ${id}, which is not there`);
    return slot;
  });
}
