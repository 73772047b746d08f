import type { ProcessRecord, ProcessStore } from '@weir/envoy-config';
import { classId, l7SetId, subjectKey } from '@weir/l7-policy';
import type { AllocationStore } from '@weir/redirect';
import type { Workload } from '../workloads/workload.ts';
import type { StateStore } from './state-store.ts';

/**
 * Keeps the redirector's numbers in `store`, which a reboot may empty: the kernel forgets what they mean at the same
 * time. What is of another form counts as lost, and the kernel's state is then rewritten.
 */
export function allocationStore(store: StateStore): AllocationStore {
  return {
    load() {
      const stored = record(store.read('allocation'));
      if (stored === undefined) return undefined;
      const nextGeneration = stored['nextGeneration'];
      return {
        subjects: pairs(stored['subjects']).map(([key, number]) => [subjectKey(key), number]),
        sets: pairs(stored['sets']).map(([key, number]) => [l7SetId(key), number]),
        proxyPorts: pairs(stored['proxyPorts']).map(([key, number]) => [classId(key), number]),
        nextGeneration: typeof nextGeneration === 'number' ? nextGeneration : 1,
      };
    },
    save: (allocation) => store.write('allocation', allocation),
  };
}

/** Keeps which process is ours. */
export function processStore(store: StateStore): ProcessStore {
  return {
    load() {
      const stored = record(store.read('envoy'));
      const { pid, startTime, bootId, bootstrapDigest } = stored ?? {};
      return typeof pid === 'number' &&
        typeof startTime === 'string' &&
        typeof bootId === 'string' &&
        typeof bootstrapDigest === 'string'
        ? { pid, startTime, bootId, bootstrapDigest }
        : null;
    },
    save: (process: ProcessRecord | null) => store.write('envoy', process),
  };
}

/** Keeps the workloads that were added over the API; `check` parses each as the API does. */
export function workloadStore(
  store: StateStore,
  check: (value: unknown) => Workload,
): { load(): readonly Workload[]; save(workloads: readonly Workload[]): void } {
  return {
    load() {
      const stored = store.read('workloads');
      return Array.isArray(stored) ? stored.map(check) : [];
    },
    save: (workloads) => store.write('workloads', workloads),
  };
}

function record(value: unknown): Readonly<Record<string, unknown>> | undefined {
  return typeof value === 'object' && value !== null && !Array.isArray(value) ? { ...value } : undefined;
}

function pairs(value: unknown): readonly (readonly [string, number])[] {
  if (!Array.isArray(value)) return [];
  return value.flatMap((pair: unknown): [string, number][] => {
    if (!Array.isArray(pair)) return [];
    const [key, number]: unknown[] = pair;
    return typeof key === 'string' && typeof number === 'number' ? [[key, number]] : [];
  });
}
