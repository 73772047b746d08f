import { resolve } from 'node:path';
import { loadObject } from './bpf-object.ts';
import type { DatapathOptions } from './datapath-options.ts';
import { buildFolder, type FdHandle, native } from './native.ts';
import { type Ifindex, ifindex } from './numbers.ts';
import { type PinFolder, removePinFolder } from './pin-folder.ts';
import { detachTc, programAt, type TcHook } from './tc-attachment.ts';

/** What an interface is to the datapath. */
export type InterfaceRole = 'workload' | 'network';

/** What runs on which hook of which interfaces. */
export const placement = Object.freeze([
  {
    program: 'from_workload',
    object: 'from-workload.bpf.o',
    at: 'from-workload',
    role: 'workload',
    hook: 'ingress',
  },
  {
    program: 'to_workload',
    object: 'to-workload.bpf.o',
    at: 'to-workload',
    role: 'workload',
    hook: 'egress',
  },
  {
    program: 'from_network',
    object: 'from-network.bpf.o',
    at: 'from-network',
    role: 'network',
    hook: 'ingress',
  },
] as const);

/** A loaded program and its constants as they are in the kernel. */
export interface LoadedProgram {
  readonly name: string;
  readonly role: InterfaceRole;
  readonly hook: TcHook;
  readonly handle: FdHandle;
  readonly tag: string;
  readonly constants: Uint8Array;
}

/** All programs and the maps they share. */
export interface LoadedPrograms {
  readonly programs: readonly LoadedProgram[];
  readonly maps: Readonly<Record<string, FdHandle>>;
  close(): void;
}

/** Loads all programs over the folder's maps, making those that are missing. `accelerates`: see lib/held.h. */
export function loadPrograms(
  options: DatapathOptions,
  pins: PinFolder,
  accelerates: boolean,
): LoadedPrograms {
  const maxEntries = capacities(options, pins);
  const handles: FdHandle[] = [];
  const close = (): void => {
    for (const handle of handles) native.close(handle);
  };
  let maps: Readonly<Record<string, FdHandle>> = {};
  try {
    const programs = placement.map(({ program, object, role, hook }) => {
      const loaded = loadObject(
        {
          path: resolve(buildFolder, object),
          pinRoot: pins.path,
          maxEntries,
          constants: {
            ...constantsFor(options),
            ...(program === 'to_workload' && { accelerates: Number(accelerates) }),
          },
        },
        [program],
      );
      handles.push(...Object.values(loaded.programs), ...Object.values(loaded.maps));
      maps = { ...loaded.maps, ...maps };
      const handle = required(loaded.programs, program);
      return Object.freeze({
        name: program,
        role,
        hook,
        handle,
        tag: native.programInfo(handle).tag,
        constants: constantsOf(handle),
      });
    });
    return Object.freeze({ programs, maps, close });
  } catch (error) {
    close();
    if (pins.found.size === 0) removePinFolder(pins.path);
    throw error;
  }
}

/** The constants of lib/maps.h that an instance sets. */
export function constantsFor({
  marks,
  reportAllowed,
}: Pick<DatapathOptions, 'marks' | 'reportAllowed'>): Readonly<Record<string, number>> {
  return {
    mark_mask: marks.mask,
    mark_deliver: marks.deliver,
    mark_proxy: marks.proxy,
    mark_reinject: marks.reinject,
    report_allowed: reportAllowed === false ? 0 : 1,
  };
}

/**
 * Whose program stands on an interface's hook: `current` is `program` itself, constants included; `outdated` is that of
 * an earlier build or with other constants, over our maps or a predecessor's.
 */
export function inspect(
  interfaceNumber: number,
  program: LoadedProgram,
  ourMapId: number,
  predecessorMapIds: ReadonlySet<number>,
): 'absent' | 'foreign' | 'outdated' | 'current' {
  const handle = programAt(interfaceNumber, program.hook);
  if (handle === undefined) return 'absent';
  try {
    const { mapIds, name, tag } = native.programInfo(handle);
    if (name !== program.name) return 'foreign';
    if (!mapIds.includes(ourMapId))
      return mapIds.some((id) => predecessorMapIds.has(id)) ? 'outdated' : 'foreign';
    const same = tag === program.tag && Buffer.compare(constantsOf(handle), program.constants) === 0;
    return same ? 'current' : 'outdated';
  } finally {
    native.close(handle);
  }
}

/** Takes every program that works on one of these maps off the interfaces of this namespace, and gives those. */
export function detachPrograms(
  mapIds: ReadonlySet<number>,
): readonly { readonly ifindex: Ifindex; readonly role: InterfaceRole }[] {
  const theirs = (number: number, hook: TcHook): boolean => {
    const handle = programAt(number, hook);
    if (handle === undefined) return false;
    const found = native.programInfo(handle).mapIds.some((id) => mapIds.has(id));
    native.close(handle);
    return found;
  };
  return native.interfaces().flatMap((number) => {
    const hooks = (['ingress', 'egress'] as const).filter((hook) => theirs(number, hook));
    for (const hook of hooks) detachTc(number, hook);
    if (hooks.length === 0) return [];
    return [{ ifindex: ifindex(number), role: hooks.includes('egress') ? 'workload' : 'network' }];
  });
}

/** An entry that must be there because the object files declare it. */
export function required(handles: Readonly<Record<string, FdHandle>>, name: string): FdHandle {
  const handle = handles[name];
  if (handle === undefined) throw new Error(`the object files declare no ${name}`);
  return handle;
}

function constantsOf(program: FdHandle): Uint8Array {
  for (const id of native.programInfo(program).mapIds) {
    const map = native.openMapById(id);
    try {
      const info = native.mapInfo(map);
      if (!info.name.endsWith('.rodata')) continue;
      const value = new Uint8Array(info.valueBytes);
      native.mapLookup(map, new Uint8Array(info.keyBytes), value);
      return value;
    } finally {
      native.close(map);
    }
  }
  return new Uint8Array();
}

/** How many entries maps that are made now hold; those that are found keep theirs. */
export function capacities(options: DatapathOptions, pins: PinFolder): ReadonlyMap<string, number> {
  const { policyPeers, policyTables, ipcache, endpoints, connections } = options.capacity ?? {};
  const wanted = new Map<string, number>();
  const want = (map: string, entries: number | undefined): void => {
    if (entries !== undefined) wanted.set(map, entries);
  };
  want('policy_peers', policyPeers);
  want('policy_tables', policyTables);
  want('ipcache', ipcache);
  want('endpoints', endpoints);
  want('local_addresses', endpoints);
  want('conntrack', connections);
  return new Map([...wanted, ...pins.found]);
}
