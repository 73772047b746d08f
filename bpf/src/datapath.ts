import {
  type AccelerationCount,
  type AccelerationState,
  loadAcceleration,
  switchOff,
} from './acceleration.ts';
import { readConnections } from './connections.ts';
import { forgetOutcomes, type Outcome, readCounters, readOutcomes } from './counters.ts';
import { codecs } from './datapath-codecs.ts';
import type { Connection, DatapathMaps } from './datapath-maps.ts';
import { checkMarks, type DatapathOptions } from './datapath-options.ts';
import {
  constantsFor,
  detachPrograms,
  type InterfaceRole,
  inspect,
  loadPrograms,
  required,
} from './datapath-programs.ts';
import { type DatapathEvent, decodeEvents, type EventStream } from './events.ts';
import { openGuard } from './guard.ts';
import { kernelArray, kernelMap } from './kernel-map.ts';
import { u32 } from './layout.ts';
import { codes, layouts } from './layouts.ts';
import { type FdHandle, native } from './native.ts';
import { type Ifindex, ifindex } from './numbers.ts';
import { openPinFolder, pinFolders, removePinFolder } from './pin-folder.ts';
import { openPredecessor } from './predecessor.ts';
import type { Reason } from './reasons.ts';
import { loadRevocation } from './revocation.ts';
import { attachTc, detachTc } from './tc-attachment.ts';

/** An interface that carries programs of this instance. */
export interface AttachedInterface {
  readonly ifindex: Ifindex;
  readonly role: InterfaceRole;
  /** Every program of the role is there and is that of this build and these constants. */
  readonly current: boolean;
}

/**
 * The node datapath of one instance in the calling process's network namespace. Closing releases handles and
 * leaves maps and programs in force; `remove` takes everything away.
 */
export interface Datapath {
  readonly instance: string;
  /** True when an earlier process left maps: they were adopted, or its living connections are taken over. */
  readonly adopted: boolean;
  readonly maps: DatapathMaps;
  /**
   * Puts the role's programs on the interface's clsact hooks; what stood there of ours is replaced atomically, hook by
   * hook. `workload` (the default) is the host side of a workload's veth, where policy is judged; `network` is an
   * interface to the rest of the world, which needs it for proxied connections only. A workload's interface that
   * carries L7 ingress from the node's own addresses needs the sysctl accept_local=1 and rp_filter other than 1.
   */
  attach(ifindex: Ifindex, role?: InterfaceRole): void;
  /** Takes our programs off. False when none were there. An interface that is gone counts as detached. */
  detach(ifindex: Ifindex): boolean;
  /** Interfaces of this namespace that carry programs of this instance, whoever put them there. */
  attached(): readonly AttachedInterface[];
  /**
   * Refuses what comes from or goes to an address in `maps.workloadPrefixes` that is no workload's, wherever it crosses
   * the node, or stops doing so. Needs Linux 6.4 (BPF on netfilter's hooks); repeating it is the same as once.
   */
  guard(on: boolean): void;
  /** Makes every living connection be judged anew on its next packet. Gives the new epoch. */
  bumpIpcacheEpoch(): number;
  /**
   * Judges every living TCP connection by what is in force now, without waiting for its next packet, and closes the
   * proxy's sockets of those that have lost their permission, which resets both ends; the others are reset by their
   * next packet, of either end. Gives how many sockets were closed.
   */
  endRevoked(): number;
  /** Whether connections of the proxy go around TCP inside the node. */
  readonly acceleration: AccelerationState;
  /** What became of them, and why of the others. */
  accelerationCounters(): Readonly<Record<AccelerationCount, bigint>>;
  /** Living connections, those of the proxy among them; read in batches. */
  connections(): IterableIterator<Connection>;
  /** Sums over all CPUs since the maps were made. */
  counters(): Readonly<Record<Reason, bigint>>;
  /** What became of the packets of each workload that is attached. */
  outcomes(): readonly Outcome[];
  /** Calls `listener` with batches of events, off the event loop until there are some. One stream at a time. */
  readEvents(listener: (events: readonly DatapathEvent[]) => void): EventStream;
  /** Releases handles. Kernel state stays. Closing twice is the same as once. */
  close(): void;
  /**
   * Ends what builds with another layout left, once every interface that matters is attached: interfaces that still
   * carry their programs are detached, and their maps unpinned. Does nothing when they left nothing.
   */
  retirePredecessors(): void;
  /** Detaches from every interface of this namespace, unpins all maps, closes. */
  remove(): void;
}

/**
 * Opens the instance's datapath: adopts the pinned maps when their layout is this build's, makes them otherwise, and
 * loads the programs over them. What is attached keeps running until `attach` replaces it, over the maps of its own
 * layout; the first `attach` takes their living connections over. Those are judged anew on their next packet.
 * Throws BpfError.
 */
export function openDatapath(options: DatapathOptions): Datapath {
  checkMarks(options.marks);
  const pins = openPinFolder(options.bpffs, options.instance);
  const adopted = pins.found.has('state') || pins.others.length > 0;
  const acceleration = loadAcceleration(options, pins);
  const { programs, maps: handles, close: closePrograms } = loadPrograms(options, pins, acceleration.loaded);
  const conntrackId = native.mapInfo(required(handles, 'conntrack')).id;
  const revocation = loadRevocation({
    pinRoot: pins.path,
    useMaps: (name) => handles[name],
    constants: constantsFor(options),
  });
  const guard = openGuard(pins.path, (name) => required(handles, name));
  const state = kernelArray(required(handles, 'state'), 'state', u32, layouts.state, () => false);
  const streams = new Set<EventStream>();
  let open = true;

  const predecessors = pins.others.map((path) => ({ path, ...openPredecessor(path) }));
  const predecessorIds = new Set(predecessors.flatMap(({ conntrackId: id }) => id ?? []));
  let connectionsCarried = false;
  const carry = (name: string): void => {
    for (const predecessor of predecessors) predecessor.carry(name, required(handles, name));
  };

  const bumpIpcacheEpoch = (): number => {
    const epochs = predecessors.map(({ ipcacheEpoch }) => ipcacheEpoch);
    const epoch = (Math.max(state.get(0)?.ipcache_epoch ?? 0, ...epochs) + 1) >>> 0;
    state.set(0, { ipcache_epoch: epoch });
    return epoch;
  };

  const detach = (interfaceNumber: Ifindex): boolean => {
    const ingress = detachTc(interfaceNumber, 'ingress');
    forgetOutcomes(required(handles, 'outcomes'), interfaceNumber);
    return detachTc(interfaceNumber, 'egress') || ingress;
  };

  const attached = (): readonly AttachedInterface[] =>
    native.interfaces().flatMap((number) => {
      const found = programs.map((program) => ({
        role: program.role,
        state: inspect(number, program, conntrackId, predecessorIds),
      }));
      const ours = found.filter(({ state }) => state === 'current' || state === 'outdated');
      const role = ours.some((program) => program.role === 'workload') ? 'workload' : 'network';
      const current = found.every((program) => program.role !== role || program.state === 'current');
      return ours.length > 0 ? [Object.freeze({ ifindex: ifindex(number), role, current })] : [];
    });

  const close = (): void => {
    if (!open) return;
    open = false;
    revocation.close();
    guard.close();
    for (const stream of [...streams]) void stream.close();
    for (const predecessor of predecessors) predecessor.close();
    closePrograms();
    acceleration.close();
  };

  const maps = datapathMaps(handles);
  bumpIpcacheEpoch();
  // Connections that are redirected now must find their proxy ports there.
  carry('pairs');
  const accelerationState = acceleration.attach();

  return Object.freeze({
    instance: options.instance,
    adopted,
    maps,
    attach(interfaceNumber: Ifindex, role: InterfaceRole = 'workload'): void {
      if (!connectionsCarried) carry('conntrack');
      connectionsCarried = true;
      for (const program of programs) {
        if (program.role === role) attachTc(interfaceNumber, program.hook, program.handle);
      }
      if (role === 'network') detachTc(interfaceNumber, 'egress');
    },
    detach,
    attached,
    guard: guard.set,
    bumpIpcacheEpoch,
    endRevoked: revocation.end,
    acceleration: accelerationState,
    accelerationCounters: acceleration.counters,
    connections: () => readConnections(required(handles, 'conntrack')),
    counters: () => readCounters(required(handles, 'counters')),
    outcomes: () => readOutcomes(required(handles, 'outcomes')),
    readEvents(listener: (events: readonly DatapathEvent[]) => void): EventStream {
      const ring = native.openRing(required(handles, 'events'), (records) => listener(decodeEvents(records)));
      const stream = Object.freeze({
        async close(): Promise<void> {
          streams.delete(stream);
          native.close(ring);
        },
      });
      streams.add(stream);
      return stream;
    },
    retirePredecessors(): void {
      if (predecessors.length === 0) return;
      // Those that were opened while interface after interface was attached.
      carry('conntrack');
      detachPrograms(predecessorIds);
      for (const { path, close: closeMaps } of predecessors.splice(0)) {
        closeMaps();
        removePinFolder(path);
      }
    },
    close,
    remove(): void {
      close();
      removeDatapath(options);
    },
  });
}

/**
 * Takes an instance off this network namespace, whatever build made it: detaches its programs and unpins its maps.
 * Gives the interfaces that carried them; undefined when there was nothing of the instance.
 */
export function removeDatapath({
  bpffs,
  instance,
}: Pick<DatapathOptions, 'bpffs' | 'instance'>):
  | readonly { readonly ifindex: Ifindex; readonly role: InterfaceRole }[]
  | undefined {
  const folders = pinFolders(bpffs, instance);
  folders.forEach(switchOff);
  const detached = folders.flatMap((folder) => {
    const { conntrackId, close } = openPredecessor(folder);
    close();
    return conntrackId === undefined ? [] : detachPrograms(new Set([conntrackId]));
  });
  folders.forEach(removePinFolder);
  return folders.length === 0 ? undefined : detached;
}

/** Typed faces on the maps of an instance. */
export function datapathMaps(handles: Readonly<Record<string, FdHandle>>): DatapathMaps {
  return Object.freeze({
    endpoints: kernelMap(required(handles, 'endpoints'), 'endpoints', codecs.ifindex, codecs.endpoint),
    localAddresses: kernelMap(
      required(handles, 'local_addresses'),
      'local_addresses',
      codecs.address,
      codecs.localAddress,
    ),
    workloadPrefixes: kernelMap(
      required(handles, 'workload_prefixes'),
      'workload_prefixes',
      codecs.prefix,
      codecs.present,
    ),
    ipcache: kernelMap(required(handles, 'ipcache'), 'ipcache', codecs.prefix, codecs.identity),
    subjects: kernelArray(
      required(handles, 'subjects'),
      'subjects',
      codecs.subjectNumber,
      codecs.subject,
      ({ ingress, egress }) => ingress === codes.generation.none && egress === codes.generation.none,
    ),
    policyPeers: kernelMap(
      required(handles, 'policy_peers'),
      'policy_peers',
      codecs.peerKey,
      codecs.tableRef,
    ),
    policyTables: kernelMap(
      required(handles, 'policy_tables'),
      'policy_tables',
      codecs.tableKey,
      codecs.policyVerdict,
    ),
    pairs: kernelMap(required(handles, 'pairs'), 'pairs', codecs.pair, codecs.pairValue),
    widenings: kernelMap(required(handles, 'widenings'), 'widenings', codecs.widening, codecs.present),
  });
}
