import type { EngineChange, Problem } from '@weir/l7-policy';
import type { Interfaces } from '../network/interfaces.ts';
import { endpointFact } from './endpoint-fact.ts';
import { parseWorkloadBody } from './parse-workload-body.ts';
import type { Workload } from './workload.ts';
import type { WorkloadRegistry, WorkloadsChange } from './workload-registry.ts';

/** The workloads of this node, as the engine and the kernel hear of them. */
export interface Workloads {
  /** Announces the workloads that the registry starts with. */
  start(): Promise<void>;
  replaceFile(workloads: readonly Workload[]): Promise<void>;
  /** Parses and adds one; what it throws is for the user. */
  add(value: unknown): Promise<Workload>;
  remove(name: string): Promise<void>;
}

/** What they are made of. */
export interface WorkloadsParts {
  readonly registry: WorkloadRegistry;
  readonly interfaces: Interfaces;
  readonly clusterName: string;
  readonly change: (facts: readonly EngineChange[]) => Promise<readonly Problem[]>;
}

/** Each change looks the interfaces up before the turn that protects them. */
export function createWorkloads({ registry, interfaces, clusterName, change }: WorkloadsParts): Workloads {
  async function announce({ set, removed }: WorkloadsChange): Promise<void> {
    await interfaces.refresh(registry.all().map(({ workload }) => workload));
    await change([
      ...removed.map((id): EngineChange => ({ kind: 'remove-endpoint', id })),
      ...set.map(
        (workload): EngineChange => ({ kind: 'set-endpoint', endpoint: endpointFact(workload, clusterName) }),
      ),
    ]);
  }

  return {
    start: () => announce({ set: registry.all().map(({ workload }) => workload), removed: [] }),
    replaceFile: (workloads) => announce(registry.replaceFile(workloads)),
    async add(value) {
      const workload = parseWorkloadBody(value);
      await announce(registry.add(workload));
      return workload;
    },
    remove: (name) => announce(registry.remove(name)),
  };
}
