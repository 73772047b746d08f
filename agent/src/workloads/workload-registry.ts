import type { Workload } from './workload.ts';

/** Where a workload was learnt from; a workload of the file cannot be changed over the API. */
export type WorkloadOrigin = 'file' | 'api';

/** What a change of the registry changed. */
export interface WorkloadsChange {
  readonly set: readonly Workload[];
  readonly removed: readonly string[];
}

/** The workloads of this node, from the workloads file and from `weir endpoint add`. */
export interface WorkloadRegistry {
  /** Makes the file's workloads exactly these. Throws, and changes nothing, when one clashes with an added one. */
  replaceFile(workloads: readonly Workload[]): WorkloadsChange;
  /** Adds or replaces one over the API. Throws, and changes nothing, when the file has it or an address is taken. */
  add(workload: Workload): WorkloadsChange;
  /** Removes one that was added over the API. Throws when there is none or it is the file's. */
  remove(name: string): WorkloadsChange;
  get(name: string): Workload | undefined;
  all(): readonly { readonly workload: Workload; readonly origin: WorkloadOrigin }[];
}

/** Starts with the workloads that were added earlier; `keep` puts those of the API on disk. */
export function createWorkloadRegistry(
  added: readonly Workload[],
  keep: (added: readonly Workload[]) => void,
): WorkloadRegistry {
  let fromFile = new Map<string, Workload>();
  let fromApi = new Map(added.map((workload) => [workload.name, workload]));

  function checkAddresses(workloads: Iterable<Workload>): void {
    const owners = new Map<string, string>();
    for (const { name, addresses } of workloads) {
      for (const address of addresses) {
        const owner = owners.get(address);
        if (owner !== undefined) throw new Error(`address ${address} of ${name} is already that of ${owner}`);
        owners.set(address, name);
      }
    }
  }

  function saveApi(next: Map<string, Workload>): void {
    keep([...next.values()]);
    fromApi = next;
  }

  return {
    replaceFile(workloads) {
      const next = new Map(workloads.map((workload) => [workload.name, workload]));
      for (const name of next.keys()) {
        if (fromApi.has(name))
          throw new Error(`workload ${name} was already added with \`weir endpoint add\``);
      }
      checkAddresses([...next.values(), ...fromApi.values()]);
      const set = workloads.filter((workload) => !sameWorkload(workload, fromFile.get(workload.name)));
      const removed = [...fromFile.keys()].filter((name) => !next.has(name));
      fromFile = next;
      return { set, removed };
    },
    add(workload) {
      if (fromFile.has(workload.name))
        throw new Error(`workload ${workload.name} stands in the workloads file: change it there`);
      const next = new Map(fromApi).set(workload.name, workload);
      checkAddresses([...fromFile.values(), ...next.values()]);
      saveApi(next);
      return { set: [workload], removed: [] };
    },
    remove(name) {
      if (fromFile.has(name))
        throw new Error(`workload ${name} stands in the workloads file: remove it there`);
      if (!fromApi.has(name)) throw new Error(`there is no workload ${name}`);
      const next = new Map(fromApi);
      next.delete(name);
      saveApi(next);
      return { set: [], removed: [name] };
    },
    get: (name) => fromFile.get(name) ?? fromApi.get(name),
    all: () => [
      ...[...fromFile.values()].map((workload) => ({ workload, origin: 'file' as const })),
      ...[...fromApi.values()].map((workload) => ({ workload, origin: 'api' as const })),
    ],
  };
}

function sameWorkload(left: Workload, right: Workload | undefined): boolean {
  return right !== undefined && JSON.stringify(left) === JSON.stringify(right);
}
