import {
  type Generation,
  type IdentityNumber,
  type SetNumber,
  type SubjectNumber,
  type SubjectValue,
  subjectNumber,
} from '@weir/bpf';
import { type L7SetId, type SubjectKey, type SubjectPolicy, subjectKey } from '@weir/l7-policy';
import type { Allocation } from './allocation.ts';
import type { SubjectStep } from './desired-state.ts';
import type { Kernel } from './kernel.ts';
import {
  diffEntries,
  diffSteps,
  entryKey,
  type KernelEntries,
  type KernelEntry,
  kernelEntries,
  policyKey,
} from './policy-entry.ts';

/** A change of one subject, worked out but not yet written. */
export type SubjectChange = InPlaceChange | GenerationChange;

/** Entries of identities that no address has yet, or has no more: no living connection can notice. */
interface InPlaceChange {
  readonly kind: 'in-place';
  readonly key: SubjectKey;
  readonly policy: SubjectPolicy;
  readonly current: InForce;
  readonly write: readonly KernelEntry[];
  readonly remove: readonly KernelEntry[];
}

/** A complete new version, switched in with one write. */
interface GenerationChange {
  readonly kind: 'generation';
  readonly key: SubjectKey;
  readonly policy: SubjectPolicy;
  readonly entries: Map<string, KernelEntry>;
}

interface InForce extends SubjectValue {
  /** Changed in place only by changes in place, after the kernel has taken them. */
  readonly entries: Map<string, KernelEntry>;
  /** The value that `entries` were compiled from; undefined for what an earlier process wrote. */
  readonly policy: SubjectPolicy | undefined;
}

/** Whether no address bears the identity yet, or any more. */
export type Idle = (identity: IdentityNumber) => boolean;

/** The subject policies in the kernel: which generation is in force, and what stands under it. */
export interface SubjectTable {
  has(key: SubjectKey): boolean;
  /** What must be written so that `policy` is in force; undefined when it is. */
  plan(
    key: SubjectKey,
    policy: SubjectPolicy,
    steps: readonly SubjectStep[],
    idle: Idle,
  ): SubjectChange | undefined;
  /** Writes the entries of a change. In-place additions take effect here, a generation only when it is switched. */
  prepare(change: SubjectChange): PreparedChange;
  /** Deletes subjects that are not among `wanted`, with their entries. Only when no endpoint names them any more. */
  removeOthers(wanted: ReadonlySet<SubjectKey>): void;
  /** L7 sets that a version in force refers to. */
  setsInForce(): ReadonlySet<SetNumber>;
}

/** Entries that stand in the kernel and wait for their moment. */
export interface PreparedChange {
  /** Puts the change in force with one write. */
  commit(): void;
  /** Deletes what the version before it left. After `commit`. */
  clean(): void;
  /** Takes back what `prepare` wrote. Does nothing after `commit`. */
  abandon(): void;
}

/** Reads what stands in the kernel; entries that belong to no generation in force are deleted. */
export function openSubjectTable(kernel: Kernel, allocation: Allocation): SubjectTable {
  const { subjects, policy: policies } = kernel.maps;
  const inForce = readInForce(kernel, allocation);

  function numberOf(set: L7SetId): SetNumber {
    const number = allocation.sets.get(set);
    if (number === undefined)
      throw new Error(`L7 set ${set} has no number: sets are numbered before subjects`);
    return number as SetNumber;
  }

  function plan(
    key: SubjectKey,
    policy: SubjectPolicy,
    steps: readonly SubjectStep[],
    idle: Idle,
  ): SubjectChange | undefined {
    const current = inForce.get(key);
    if (current?.policy === policy) return undefined;
    const whole = (): Map<string, KernelEntry> => kernelEntries(policy.entries, numberOf);
    if (current === undefined) return { kind: 'generation', key, policy, entries: whole() };
    const { write, remove } = leadsTo(steps, current.policy, policy)
      ? diffSteps(steps, current.entries, numberOf)
      : diffEntries(current.entries, whole());
    const sameEnforcement =
      current.enforceIngress === policy.enforced.ingress && current.enforceEgress === policy.enforced.egress;
    if (sameEnforcement && write.length === 0 && remove.length === 0) {
      inForce.set(key, { ...current, policy });
      return undefined;
    }
    const unnoticed = ({ identity }: KernelEntry): boolean => identity !== 0 && idle(identity);
    if (sameEnforcement && write.every(unnoticed) && remove.every(unnoticed)) {
      return { kind: 'in-place', key, policy, current, write, remove };
    }
    return { kind: 'generation', key, policy, entries: whole() };
  }

  function prepare(change: SubjectChange): PreparedChange {
    const { key, policy } = change;
    const before = inForce.get(key);
    return change.kind === 'in-place'
      ? prepareInPlace(change)
      : prepareGeneration(key, policy, change.entries, before);
  }

  function prepareInPlace({ key, policy, current, write, remove }: InPlaceChange): PreparedChange {
    const { generation } = current;
    const keyed = write.map((entry) => [policyKey(generation, entry), entry.verdict] as const);
    let committed = false;
    policies.setBatch(keyed);
    return {
      commit() {
        committed = true;
        for (const entry of remove) current.entries.delete(entryKey(entry));
        for (const entry of write) current.entries.set(entryKey(entry), entry);
        inForce.set(key, { ...current, policy });
      },
      clean: () => void policies.deleteBatch(remove.map((entry) => policyKey(generation, entry))),
      abandon() {
        if (committed) return;
        policies.deleteBatch(keyed.map(([writtenKey]) => writtenKey));
        const replaced = write.flatMap((entry) => current.entries.get(entryKey(entry)) ?? []);
        policies.setBatch(replaced.map((entry) => [policyKey(generation, entry), entry.verdict] as const));
      },
    };
  }

  function prepareGeneration(
    key: SubjectKey,
    policy: SubjectPolicy,
    entries: Map<string, KernelEntry>,
    before: InForce | undefined,
  ): PreparedChange {
    const generation = allocation.newGeneration();
    let committed = false;
    const abandon = (): void => {
      if (!committed) deleteEntries(generation, entries);
    };
    try {
      policies.setBatch(
        [...entries.values()].map((entry) => [policyKey(generation, entry), entry.verdict] as const),
      );
    } catch (error) {
      abandon();
      throw error;
    }
    return {
      abandon,
      commit() {
        const { ingress: enforceIngress, egress: enforceEgress } = policy.enforced;
        const value = { generation, enforceIngress, enforceEgress };
        subjects.set(subjectNumber(allocation.subjects.take(key)), value);
        committed = true;
        inForce.set(key, { ...value, entries, policy });
      },
      clean() {
        if (before !== undefined) deleteEntries(before.generation, before.entries);
      },
    };
  }

  function deleteEntries(generation: Generation, entries: KernelEntries): void {
    policies.deleteBatch([...entries.values()].map((entry) => policyKey(generation, entry)));
  }

  return {
    has: (key) => inForce.has(key),
    plan,
    prepare,
    removeOthers(wanted) {
      for (const [key, { generation, entries }] of inForce) {
        if (wanted.has(key)) continue;
        subjects.delete(subjectNumber(allocation.subjects.take(key)));
        deleteEntries(generation, entries);
        inForce.delete(key);
        allocation.subjects.release(key);
      }
    },
    setsInForce() {
      const sets = new Set<SetNumber>();
      for (const { entries } of inForce.values()) {
        for (const { verdict } of entries.values()) if (verdict.kind === 'l7') sets.add(verdict.set);
      }
      return sets;
    },
  };
}

function readInForce(kernel: Kernel, allocation: Allocation): Map<SubjectKey, InForce> {
  const { subjects, policy: policies } = kernel.maps;
  const byGeneration = new Map<Generation, Map<string, KernelEntry>>();
  for (const [{ generation, ...rest }, verdict] of policies.entries()) {
    const entries = byGeneration.get(generation) ?? new Map<string, KernelEntry>();
    byGeneration.set(generation, entries);
    entries.set(entryKey(rest), { ...rest, verdict });
  }
  const inForce = new Map<SubjectKey, InForce>();
  for (const [number, value] of subjects.entries()) {
    if (number === 0) continue;
    const key = allocation.subjects.keyOf(number) ?? adoptStray(number, allocation);
    inForce.set(key, {
      ...value,
      entries: byGeneration.get(value.generation) ?? new Map(),
      policy: undefined,
    });
    byGeneration.delete(value.generation);
  }
  for (const [generation, entries] of byGeneration) {
    policies.deleteBatch([...entries.values()].map((entry) => policyKey(generation, entry)));
  }
  return inForce;
}

/** A subject whose key was lost with the state directory: it stays in force until no endpoint names it. */
function adoptStray(number: SubjectNumber, allocation: Allocation): SubjectKey {
  const key = subjectKey(`stray-${number}`);
  allocation.subjects.adopt(key, number);
  return key;
}

/** Whether the steps form a chain from one version to the other. */
function leadsTo(steps: readonly SubjectStep[], from: SubjectPolicy | undefined, to: SubjectPolicy): boolean {
  let at = from;
  for (const { before, after } of steps) {
    if (before !== at) return false;
    at = after;
  }
  return at === to;
}
