import { type FdHandle, native } from './native.ts';

/** How an object file is to be loaded. */
export interface ObjectOptions {
  readonly path: string;
  /** Folder on a bpffs where maps that ask for it are pinned and found again by name. */
  readonly pinRoot?: string;
  /** Sizes instead of those in the file; maps that the file does not declare are passed over. */
  readonly maxEntries?: ReadonlyMap<string, number>;
  /** The map to use for one that the file declares; null makes one that nobody else sees, undefined pins it. */
  readonly useMaps?: (name: string) => FdHandle | null | undefined;
  /** `const volatile` variables by name: `__u32` of numbers, `__u64` of bigints. */
  readonly constants?: Readonly<Record<string, number | bigint>>;
  /** Type and attach type of all programs, where libbpf cannot tell by the section (enums of the kernel's bpf.h). */
  readonly type?: { readonly program: number; readonly attach: number };
}

/** Programs and maps of a loaded object file, each a handle of its own that the caller closes. */
export interface LoadedObject {
  readonly programs: Readonly<Record<string, FdHandle>>;
  readonly maps: Readonly<Record<string, FdHandle>>;
}

/**
 * Opens an object file, sets sizes and constants, loads it into the kernel and takes out the programs named and all
 * maps. Throws BpfError; when the verifier refuses, its last sentence is in the message and all of it in `log`.
 */
export function loadObject(options: ObjectOptions, programs: readonly string[]): LoadedObject {
  const object = native.openObject(options.path, options.pinRoot ?? null);
  const taken: FdHandle[] = [];
  const take = (handle: FdHandle): FdHandle => {
    taken.push(handle);
    return handle;
  };
  try {
    const maps = native.objectMaps(object);
    for (const map of maps) {
      const entries = options.maxEntries?.get(map);
      if (entries !== undefined) native.setMaxEntries(object, map, entries);
      const used = options.useMaps?.(map);
      if (used !== undefined) native.useMap(object, map, used);
    }
    for (const [name, value] of Object.entries(options.constants ?? {})) {
      const words = typeof value === 'bigint' ? new BigUint64Array([value]) : new Uint32Array([value]);
      native.setConstant(object, name, new Uint8Array(words.buffer));
    }
    const { type } = options;
    if (type !== undefined)
      for (const name of programs) native.setProgramType(object, name, type.program, type.attach);
    native.loadObject(object);
    return Object.freeze({
      programs: Object.freeze(
        Object.fromEntries(programs.map((name) => [name, take(native.takeProgram(object, name))])),
      ),
      maps: Object.freeze(Object.fromEntries(maps.map((name) => [name, take(native.takeMap(object, name))]))),
    });
  } catch (error) {
    for (const handle of taken) native.close(handle);
    throw error;
  } finally {
    native.close(object);
  }
}
