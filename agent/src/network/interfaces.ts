import type { Workload } from '../workloads/workload.ts';
import { findInterface } from './links.ts';
import type { RunIp } from './run-ip.ts';

/** Where the workloads' interfaces were last seen. */
export interface Interfaces {
  indexOf(workload: string): number | undefined;
  /** Looks all of them up; true when anything is different. Missing interfaces are no error. */
  refresh(workloads: readonly Workload[]): Promise<boolean>;
}

/** Nothing is known before the first `refresh`. */
export function createInterfaces(ip: RunIp): Interfaces {
  let known: ReadonlyMap<string, number> = new Map();
  return {
    indexOf: (workload) => known.get(workload),
    async refresh(workloads) {
      const found = await Promise.all(
        workloads.map(async ({ name, attachment }): Promise<[string, number][]> => {
          try {
            return [[name, (await findInterface(attachment, ip)).ifindex]];
          } catch {
            return [];
          }
        }),
      );
      const next = new Map(found.flat());
      const different =
        next.size !== known.size || [...next].some(([name, index]) => known.get(name) !== index);
      known = next;
      return different;
    },
  };
}
