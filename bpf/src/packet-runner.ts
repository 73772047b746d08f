import { resolve } from 'node:path';
import { BpfError } from './bpf-error.ts';
import { loadObject } from './bpf-object.ts';
import { readConnections } from './connections.ts';
import { readCounters } from './counters.ts';
import { codecs } from './datapath-codecs.ts';
import type { Connection } from './datapath-maps.ts';
import type { DatapathOptions } from './datapath-options.ts';
import { constantsFor, placement, required } from './datapath-programs.ts';
import { type DatapathEvent, decodeEvents, type Hook } from './events.ts';
import { loadGuardProgram, netfilterFamilies, netfilterHooks } from './guard.ts';
import { kernelMap } from './kernel-map.ts';
import { u64 } from './layout.ts';
import { layouts } from './layouts.ts';
import { buildFolder, type FdHandle, native } from './native.ts';
import type { Ifindex } from './numbers.ts';
import { pinnedMaps } from './pin-folder.ts';
import type { Reason } from './reasons.ts';

/** Where a packet is seen. */
export interface PacketPlace {
  readonly hook: Hook;
  /** The interface whose hook it is; it must exist in this network namespace. The guard stands on none. */
  readonly ifindex: Ifindex;
  /** The interface it came in through; undefined: the node sent it. */
  readonly cameThrough?: Ifindex;
  readonly mark?: number;
}

/** What a program did with a packet. */
export interface PacketRun {
  /** `round`: sent to the ingress side of the same interface, with its new mark. */
  readonly action: 'pass' | 'drop' | 'round';
  readonly mark: number;
  readonly packet: Uint8Array;
  /** Everything that was told of it. */
  readonly events: readonly DatapathEvent[];
  /** Mean of all repeats. */
  readonly durationNs: number;
}

/**
 * The programs of one instance, run on packets of the caller's making over the maps that are in force. Connections,
 * fragments, counters and events of these runs stand in maps of the runner's own; nothing is sent, and what is in
 * force is not changed. A listener is looked for, but the packet is not handed to it.
 */
export interface PacketRunner {
  run(packet: Uint8Array, place: PacketPlace, repeat?: number): PacketRun;
  /** Connections that the runner remembers. */
  connections(): IterableIterator<Connection>;
  /** Forgets them all, and fragments. */
  forget(): void;
  /** What these runs came to. */
  counters(): Readonly<Record<Reason, bigint>>;
  /** Closing twice is the same as once. */
  close(): void;
}

/** What a runner needs to know of an instance. */
export interface PacketRunnerOptions extends Pick<DatapathOptions, 'instance' | 'marks' | 'bpffs'> {
  /** Connections that the runner can remember. Default 4,096. */
  readonly connections?: number;
  /** Read what the programs tell, at the cost of some system calls a run. Default true. */
  readonly events?: boolean;
}

/** Maps that say how to judge; the programs only read them. Of all others a runner has its own. */
const judgedBy = new Set([
  'endpoints',
  'local_addresses',
  'workload_prefixes',
  'ipcache',
  'subjects',
  'policy_peers',
  'policy_tables',
  'pairs',
  'widenings',
  'state',
]);
/** Of tc (linux/pkt_cls.h): TC_ACT_UNSPEC, TC_ACT_SHOT, TC_ACT_REDIRECT. */
const actions = new Map<number, PacketRun['action']>([
  [0xffff_ffff, 'pass'],
  [2, 'drop'],
  [7, 'round'],
]);
/** Bytes of `struct __sk_buff` up to and with `ifindex`, and where its fields stand (linux/bpf.h). */
const context = { bytes: 44, mark: 8, ingressIfindex: 36, ifindex: 40 } as const;

/** NF_ACCEPT; the start of struct nf_hook_state (linux/netfilter.h) for a packet that the node forwards. */
const netfilterAccept = 1;
function forwarded(packet: Uint8Array): Uint8Array {
  const state = new Uint8Array(48);
  const isIpv6 = packet[12] === 0x86 && packet[13] === 0xdd;
  state.set([netfilterHooks.forward, isIpv6 ? netfilterFamilies.ipv6 : netfilterFamilies.ipv4]);
  return state;
}

/** Throws BpfError with code ENOENT when the instance has no maps. */
export function openPacketRunner(options: PacketRunnerOptions): PacketRunner {
  const { bpffs, instance, connections = 4096, events: told = true } = options;
  const live = Object.fromEntries(pinnedMaps(bpffs, instance));
  const handles: FdHandle[] = Object.values(live);
  const programs: Record<string, FdHandle> = {};
  const own: Record<string, FdHandle> = {};
  const close = (): void => {
    for (const handle of handles.splice(0)) native.close(handle);
  };
  try {
    for (const { program, object, at } of placement) {
      const loaded = loadObject(
        {
          path: resolve(buildFolder, object),
          useMaps: (name) => (judgedBy.has(name) ? required(live, name) : (own[name] ?? null)),
          maxEntries: new Map(own['conntrack'] === undefined ? [['conntrack', connections]] : []),
          constants: {
            ...constantsFor(options),
            events_per_second_and_cpu: told ? 0xffff_ffff : 0,
            like_drops_per_second: 0xffff_ffff,
            dry_run: 1,
          },
        },
        [program],
      );
      handles.push(...Object.values(loaded.programs), ...Object.values(loaded.maps));
      for (const [name, map] of Object.entries(loaded.maps)) if (!judgedBy.has(name)) own[name] ??= map;
      programs[at] = required(loaded.programs, program);
    }
  } catch (error) {
    close();
    throw error;
  }
  const guard = loadGuard((name) => (judgedBy.has(name) ? required(live, name) : required(own, name)));
  if (guard !== undefined) handles.push(guard);
  const conntrack = required(own, 'conntrack');
  const fragments = required(own, 'fragments');

  /** Nobody needs it while it is not known where workloads live, and kernels before 6.4 do not have it. */
  function loadGuard(useMap: (name: string) => FdHandle): FdHandle | undefined {
    const prefixes = kernelMap(
      required(live, 'workload_prefixes'),
      'workload_prefixes',
      codecs.prefix,
      codecs.present,
    );
    return prefixes.entries().next().done === true ? undefined : loadGuardProgram(useMap);
  }

  function runGuard(packet: Uint8Array, mark: number, repeat: number): PacketRun {
    const passed = { action: 'pass', mark, packet, events: [], durationNs: 0 } as const;
    if (guard === undefined) return passed;
    const { returned, durationNs } = native.runProgram(guard, packet, forwarded(packet), repeat);
    if (returned === netfilterAccept) return { ...passed, durationNs };
    const dropped = told ? decodeEvents(native.drainRing(required(own, 'events'))) : [];
    return { ...passed, action: 'drop', events: dropped, durationNs };
  }

  return Object.freeze({
    run(packet: Uint8Array, { hook, ifindex, cameThrough, mark = 0 }: PacketPlace, repeat = 1): PacketRun {
      if (hook === 'guard') return runGuard(packet, mark, repeat);
      const before = new Uint8Array(context.bytes);
      const view = new DataView(before.buffer);
      view.setUint32(context.mark, mark, true);
      view.setUint32(context.ingressIfindex, cameThrough ?? 0, true);
      view.setUint32(context.ifindex, ifindex, true);
      const run = native.runProgram(required(programs, hook), packet, before, repeat);
      const action = actions.get(run.returned);
      if (action === undefined) throw new BpfError('EINVAL', `run ${hook}`, `it returned ${run.returned}`);
      return {
        action,
        mark: new DataView(run.context.buffer, run.context.byteOffset).getUint32(context.mark, true),
        packet: run.packet,
        events: told ? decodeEvents(native.drainRing(required(own, 'events'))) : [],
        durationNs: run.durationNs,
      };
    },
    connections: () => readConnections(conntrack),
    forget(): void {
      const map = kernelMap(conntrack, 'conntrack', layouts.flowKey, layouts.flow);
      map.deleteBatch([...map.entries()].map(([key]) => key));
      const pieces = kernelMap(fragments, 'fragments', layouts.fragmentKey, u64);
      pieces.deleteBatch([...pieces.entries()].map(([key]) => key));
    },
    counters: () => readCounters(required(own, 'counters')),
    close,
  });
}
