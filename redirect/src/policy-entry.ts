import {
  type Generation,
  identityNumber,
  type PolicyKey,
  type PolicyVerdict,
  type SetNumber,
} from '@weir/bpf';
import type { L7SetId, PolicyMapEntry } from '@weir/l7-policy';
import type { SubjectStep } from './desired-state.ts';

/** A policy entry as the kernel holds it, without the generation it stands under. */
export type KernelEntry = Omit<PolicyKey, 'generation'> & { readonly verdict: PolicyVerdict };

/** Entries by a key that two entries share exactly when the kernel's keys are equal. */
export type KernelEntries = ReadonlyMap<string, KernelEntry>;

/** What has to change to turn one set of entries into another. */
export interface EntriesDiff {
  /** New entries, and entries whose verdict differs. */
  readonly write: readonly KernelEntry[];
  readonly remove: readonly KernelEntry[];
}

/** Compiles a subject's entries; `numberOf` gives the number of an L7 set. */
export function kernelEntries(
  entries: Iterable<PolicyMapEntry>,
  numberOf: (set: L7SetId) => SetNumber,
): Map<string, KernelEntry> {
  const compiled = new Map<string, KernelEntry>();
  for (const entry of entries) compiled.set(entryKey(entry), kernelEntry(entry, numberOf));
  return compiled;
}

function kernelEntry(entry: PolicyMapEntry, numberOf: (set: L7SetId) => SetNumber): KernelEntry {
  const { direction, protocol, port, portPrefixLength, verdict } = entry;
  return {
    direction,
    identity: identityNumber(entry.identity),
    protocol,
    port,
    portPrefixLength,
    verdict: verdict.kind === 'l7' ? { kind: 'l7', set: numberOf(verdict.set) } : verdict,
  };
}

/** The key under which `kernelEntries` files an entry. */
export function entryKey(
  entry: Omit<PolicyKey, 'generation' | 'identity'> & { readonly identity: number },
): string {
  return `${entry.direction} ${entry.identity} ${entry.protocol} ${entry.port}/${entry.portPrefixLength}`;
}

/** What a chain of steps comes to; needs no look at what did not change. */
export function diffSteps(
  steps: readonly SubjectStep[],
  from: KernelEntries,
  numberOf: (set: L7SetId) => SetNumber,
): EntriesDiff {
  const last = new Map<string, KernelEntry | null>();
  for (const { added, removed } of steps) {
    for (const entry of removed) last.set(entryKey(entry), null);
    for (const entry of added) last.set(entryKey(entry), kernelEntry(entry, numberOf));
  }
  const write: KernelEntry[] = [];
  const remove: KernelEntry[] = [];
  for (const [key, entry] of last) {
    const had = from.get(key);
    if (entry === null) {
      if (had !== undefined) remove.push(had);
    } else if (had === undefined || !sameVerdict(had.verdict, entry.verdict)) write.push(entry);
  }
  return { write, remove };
}

/** Compares by value. */
export function diffEntries(from: KernelEntries, to: KernelEntries): EntriesDiff {
  const write: KernelEntry[] = [];
  const remove: KernelEntry[] = [];
  for (const [key, entry] of to) {
    const had = from.get(key);
    if (had === undefined || !sameVerdict(had.verdict, entry.verdict)) write.push(entry);
  }
  for (const [key, entry] of from) {
    if (!to.has(key)) remove.push(entry);
  }
  return { write, remove };
}

/** The map key of an entry under a generation. */
export function policyKey(generation: Generation, entry: KernelEntry): PolicyKey {
  const { direction, identity, protocol, port, portPrefixLength } = entry;
  return { generation, direction, identity, protocol, port, portPrefixLength };
}

function sameVerdict(left: PolicyVerdict, right: PolicyVerdict): boolean {
  if (left.kind === 'l7') return right.kind === 'l7' && left.set === right.set;
  return left.kind === right.kind;
}
