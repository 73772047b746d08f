import { createRequire } from 'node:module';
import { resolve } from 'node:path';
import { BpfError } from './bpf-error.ts';
import type { Branded } from './brand.ts';

/** An object file of programs that is open. */
export type ObjectHandle = Branded<object, 'ObjectHandle'>;
/** A map, program or link: a file descriptor. */
export type FdHandle = Branded<object, 'FdHandle'>;
/** A thread that waits on a descriptor. */
export type PollerHandle = Branded<object, 'PollerHandle'>;

/** Offsets and sizes in bytes, as BTF tells them. */
export interface DescribedStruct {
  readonly size: number;
  readonly members: readonly { readonly name: string; readonly offset: number; readonly size: number }[];
}

/** Names and numbers of an enum, as BTF tells them. */
export interface DescribedEnum {
  readonly size: number;
  readonly values: readonly { readonly name: string; readonly value: number }[];
}

/** A field of a map's key or value, in bytes; those of structures within have paths, `source.identity`. */
export interface MapField {
  readonly name: string;
  readonly offset: number;
  readonly size: number;
}

/** What became of a test run; `durationNs` is the mean of all repeats. */
export interface ProgramRun {
  readonly returned: number;
  readonly durationNs: number;
  /** Bytes of the packet and of the context after the run. */
  readonly packet: Uint8Array;
  readonly context: Uint8Array;
}

/** The addon's functions (native/addon.c). All throw BpfError when the kernel refuses. */
export interface Native {
  setErrorClass(errorClass: new (code: string, operation: string, log: string) => BpfError): void;
  close(handle: ObjectHandle | FdHandle | PollerHandle): void;
  openObject(path: string, pinRoot: string | null): ObjectHandle;
  objectMaps(object: ObjectHandle): string[];
  setMaxEntries(object: ObjectHandle, map: string, entries: number): void;
  useMap(object: ObjectHandle, name: string, map: FdHandle | null): void;
  setConstant(object: ObjectHandle, name: string, value: Uint8Array): void;
  setProgramType(object: ObjectHandle, program: string, type: number, attachType: number): void;
  loadObject(object: ObjectHandle): void;
  takeMap(object: ObjectHandle, name: string): FdHandle;
  takeProgram(object: ObjectHandle, name: string): FdHandle;
  describeTypes(path: string): Record<string, DescribedStruct | DescribedEnum>;
  openPinned(path: string): FdHandle;
  openMapById(id: number): FdHandle;
  pin(handle: FdHandle, path: string): void;
  mapInfo(map: FdHandle): MapInfo;
  mapFields(map: FdHandle): { readonly key: readonly MapField[]; readonly value: readonly MapField[] };
  mapLookup(map: FdHandle, key: Uint8Array, value: Uint8Array): boolean;
  mapUpdate(map: FdHandle, key: Uint8Array, value: Uint8Array, flags: number): void;
  mapDelete(map: FdHandle, key: Uint8Array): boolean;
  mapLookupBatch(
    map: FdHandle,
    cursor: Uint8Array,
    resumed: 0 | 1,
    keys: Uint8Array,
    values: Uint8Array,
    count: number,
  ): { count: number; done: boolean };
  mapUpdateBatch(map: FdHandle, keys: Uint8Array, values: Uint8Array, count: number): void;
  mapDeleteBatch(map: FdHandle, keys: Uint8Array, count: number): number;
  programInfo(program: FdHandle): ProgramInfo;
  openProgramById(id: number): FdHandle;
  runProgram(program: FdHandle, packet: Uint8Array, context: Uint8Array, repeat: number): ProgramRun;
  attachTc(ifindex: number, hook: number, handle: number, priority: number, program: FdHandle): void;
  detachTc(ifindex: number, hook: number, handle: number, priority: number): boolean;
  queryTc(ifindex: number, hook: number, handle: number, priority: number): number;
  interfaces(): number[];
  attachCgroup(program: FdHandle, path: string, attachType: number): FdHandle;
  attachNetfilter(program: FdHandle, family: number, hook: number, place: number): FdHandle | false;
  updateLink(link: FdHandle, program: FdHandle): void;
  attachMap(program: FdHandle, map: FdHandle, attachType: number): void;
  netnsCookie(cookie: Uint8Array): void;
  openRing(map: FdHandle, onRecords: (records: Uint8Array) => void): PollerHandle;
  drainRing(map: FdHandle): Uint8Array;
  watchProcess(pid: number, onExit: () => void): PollerHandle;
  watchLinks(onChange: () => void): PollerHandle;
  destroySockets(records: Uint8Array): number;
  listeningPorts(family: 4 | 6): number[];
  probeMapType(type: number): boolean;
  probeProgramType(type: number): boolean;
  probeHelper(programType: number, helper: number): boolean;
  probeKfunc(name: string, module: string): boolean;
  probeSplice(): boolean;
}

/** Facts of a map; `valueBytes` counts all CPUs of a per-CPU map. */
export interface MapInfo {
  readonly id: number;
  readonly name: string;
  readonly type: number;
  readonly keyBytes: number;
  readonly valueBytes: number;
  readonly maxEntries: number;
}

/** Facts of a loaded program; `tag` is a digest of its instructions. */
export interface ProgramInfo {
  readonly id: number;
  readonly name: string;
  readonly tag: string;
  readonly mapIds: readonly number[];
}

/** Where bpf/scripts/build puts what it makes. */
export const buildFolder = resolve(import.meta.dirname, '../build');

/** The addon, which scripts/build makes for this machine. */
export const native: Native = loadAddon();

function loadAddon(): Native {
  const addon = createRequire(import.meta.url)(resolve(buildFolder, 'weir_bpf.node')) as Native;
  addon.setErrorClass(BpfError);
  return addon;
}
