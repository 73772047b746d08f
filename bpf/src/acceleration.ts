import { existsSync, readFileSync, unlinkSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { BpfError } from './bpf-error.ts';
import { loadObject } from './bpf-object.ts';
import { sumCounters } from './counters.ts';
import type { DatapathOptions } from './datapath-options.ts';
import { capacities, constantsFor, required } from './datapath-programs.ts';
import { kernelArray } from './kernel-map.ts';
import { u32 } from './layout.ts';
import { buildFolder, type FdHandle, native } from './native.ts';
import { linkPrefix, type PinFolder } from './pin-folder.ts';

/**
 * What the programs of the sockhash path count, by the number in `enum weir_acceleration` of lib/shared.h.
 */
export const accelerationCounts = Object.freeze({
  /** Sockets that came into the sockhash. */
  joined: 0,
  /** Sockets that did not come in, and messages that went by TCP, because a workload reads blocking (or may). */
  blocking: 1,
  /** Options that were refused to sockets of the sockhash. */
  'option-refused': 2,
  /** Messages that went around TCP. */
  accelerated: 3,
  /** By TCP: the other end is not in the sockhash (any more). */
  alone: 4,
  /** By TCP: acceleration was switched off, or the socket has sent urgent data or has options that do not go with it. */
  unfit: 5,
  /** By TCP: the connection is not permitted any more, or not remembered. */
  stale: 6,
  /** By TCP: what went before by TCP has not been read yet. */
  'behind-tcp': 7,
  /** By TCP: the receiver has enough to read, or TCP is short of memory. */
  full: 8,
  /** TCP segments that waited for accelerated bytes before them to be read. */
  held: 9,
  /** Sockets of workloads that got bytes by TCP and left the sockhash for good. */
  left: 10,
});

/** Name of a count. */
export type AccelerationCount = keyof typeof accelerationCounts;

/** Whether connections of the proxy go around TCP inside the node. */
export type AccelerationState =
  | { readonly kind: 'on' }
  /** `reason` is what the kernel lacks, or that it was switched off. */
  | { readonly kind: 'off'; readonly reason: string };

/** The loaded programs, which do nothing yet. */
export interface Acceleration {
  readonly loaded: boolean;
  /** Puts them to work, for sockets of connections that are opened from now on. Gives what came of it. */
  attach(): AccelerationState;
  /** Sums over all CPUs, zeros where acceleration was never on. */
  counters(): Readonly<Record<AccelerationCount, bigint>>;
  close(): void;
}

/** enum bpf_attach_type. */
const skMsgVerdict = 7;
const onCgroup = Object.freeze([
  { object: 'socket-options.bpf.o', program: 'refuse_options', hook: 22 },
  { object: 'sock-ops.bpf.o', program: 'pick_sockets', hook: 3 },
]);

/** Loads the programs where they are wanted and the kernel can; else what an earlier process left is off. */
export function loadAcceleration(options: DatapathOptions, pins: PinFolder): Acceleration {
  const handles: FdHandle[] = [];
  const close = (): void => {
    for (const handle of handles.splice(0)) native.close(handle);
  };
  const off = (reason: string): AccelerationState => {
    switchOff(pins.path);
    return Object.freeze({ kind: 'off', reason });
  };
  const unloaded = (reason: string): Acceleration => {
    close();
    const state = off(reason);
    return Object.freeze({ loaded: false, attach: () => state, counters: () => zeros, close });
  };
  // Its sockets stay with its maps, where no newer policy arrives.
  pins.others.forEach(switchOff);
  const choice = options.accelerate ?? 'off';
  if (choice === 'off') return unloaded('switched off');
  try {
    if (choice === 'auto' && !native.probeSplice()) return unloaded(blindSplice);
    const folder = options.cgroup ?? cgroupRoot();
    const constants = { ...constantsFor(options), accelerates: 1, proxy_netns: netnsCookie() };
    const load = (object: string, program: string) => {
      const loaded = loadObject(
        {
          path: resolve(buildFolder, object),
          pinRoot: pins.path,
          maxEntries: capacities(options, pins),
          constants,
        },
        [program],
      );
      handles.push(...Object.values(loaded.programs), ...Object.values(loaded.maps));
      return { handle: required(loaded.programs, program), maps: loaded.maps };
    };
    const { handle: verdict, maps } = load('sk-msg.bpf.o', 'accelerate');
    const placed = onCgroup.map(({ object, program, hook }) => ({
      name: program,
      hook,
      handle: load(object, program).handle,
    }));
    return Object.freeze({
      loaded: true,
      attach(): AccelerationState {
        try {
          native.attachMap(verdict, required(maps, 'accelerated_sockets'), skMsgVerdict);
          for (const { name, hook, handle } of placed) attachPinned(pins.path, name, folder, hook, handle);
          setSwitch(required(maps, 'acceleration_switch'), 1);
          return Object.freeze({ kind: 'on' });
        } catch (error) {
          return off(wordsOf(error));
        }
      },
      counters: () => sumCounters(required(maps, 'acceleration_counters'), accelerationCounts),
      close,
    });
  } catch (error) {
    return unloaded(wordsOf(error));
  }
}

const blindSplice = 'on this kernel splice(2) does not see what goes around TCP';

const wordsOf = (error: unknown): string => (error instanceof Error ? error.message : String(error));

/**
 * Takes the path away from new connections, and from living ones what they have not sent yet. Sockets stay in the
 * sockhash, and it stays in the kernel, until they close: bytes on their way are still read.
 */
export function switchOff(path: string): void {
  const pinned = join(path, 'acceleration_switch');
  if (existsSync(pinned)) {
    const handle = native.openPinned(pinned);
    try {
      setSwitch(handle, 0);
    } finally {
      native.close(handle);
    }
  }
  for (const { program } of onCgroup) {
    const link = join(path, `${linkPrefix}${program}`);
    if (existsSync(link)) unlinkSync(link);
  }
}

const zeros = Object.freeze(
  Object.fromEntries(Object.keys(accelerationCounts).map((name) => [name, 0n])),
) as Readonly<Record<AccelerationCount, bigint>>;

function setSwitch(map: FdHandle, on: 0 | 1): void {
  kernelArray(map, 'acceleration_switch', u32, u32, () => false).set(0, on);
}

/** A link that outlives the process; the program of one that is there is replaced in one step. */
function attachPinned(path: string, name: string, cgroup: string, hook: number, program: FdHandle): void {
  const pinned = join(path, `${linkPrefix}${name}`);
  const found = existsSync(pinned);
  const link = found ? native.openPinned(pinned) : native.attachCgroup(program, cgroup, hook);
  try {
    if (found) native.updateLink(link, program);
    else native.pin(link, pinned);
  } finally {
    native.close(link);
  }
}

/** The root of cgroup v2, wherever it is mounted: workloads may sit in any of its groups. */
function cgroupRoot(): string {
  const mounts = readFileSync('/proc/self/mounts', 'utf8').split('\n');
  const folder = mounts.map((line) => line.split(' ')).find(([, , type]) => type === 'cgroup2')?.[1];
  if (folder === undefined) throw new BpfError('ENOENT', 'find cgroup v2', 'it is mounted nowhere');
  return folder;
}

function netnsCookie(): bigint {
  const cookie = new BigUint64Array(1);
  native.netnsCookie(new Uint8Array(cookie.buffer));
  return cookie[0] ?? 0n;
}
