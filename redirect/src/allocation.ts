import { type Generation, generation, openGeneration } from '@weir/bpf';
import type { ClassId, L7SetId, SubjectKey } from '@weir/l7-policy';
import { createNumbering, type Numbering } from './numbers.ts';

/** What is kept over restarts, so that the kernel's state keeps its meaning. */
export interface StoredAllocation {
  readonly subjects: readonly (readonly [SubjectKey, number])[];
  readonly sets: readonly (readonly [L7SetId, number])[];
  readonly proxyPorts: readonly (readonly [ClassId, number])[];
  /** Every generation at or above this one is unused. */
  readonly nextGeneration: number;
}

/** Keeps what is allocated; `save` returns when it is on disk. */
export interface AllocationStore {
  load(): StoredAllocation | undefined;
  save(allocation: StoredAllocation): void;
}

/** Numbers of one instance, and the ports of its classes. */
export interface Allocation {
  readonly subjects: Numbering<SubjectKey>;
  readonly sets: Numbering<L7SetId>;
  readonly proxyPorts: Numbering<ClassId>;
  newGeneration(): Generation;
  /** The kernel holds this generation: a lost store must not give it a second time. */
  seen(generation: Generation): void;
  /** Puts on disk what was taken or released since the last time. Before the kernel or Envoy learns of it. */
  save(): void;
}

/** TCP ports of listeners: from 1 to 65535, outside the ephemeral range. */
export interface PortRange {
  readonly first: number;
  readonly last: number;
  /** Whether somebody else listens on the port. */
  readonly isTaken?: (port: number) => boolean;
}

/** Generations are kept in blocks, so that a switch need not wait for the disk. */
const GENERATION_BLOCK = 4096;
const LAST_NUMBER = 0xffff_ffff;

/** Starts with what `store` holds. */
export function createAllocation(store: AllocationStore, ports: PortRange): Allocation {
  const stored = store.load() ?? { subjects: [], sets: [], proxyPorts: [], nextGeneration: 1 };
  const subjects = createNumbering({ first: 1, last: LAST_NUMBER, what: 'subject number' }, stored.subjects);
  const sets = createNumbering({ first: 1, last: LAST_NUMBER, what: 'L7 set number' }, stored.sets);
  const proxyPorts = createNumbering({ ...ports, what: 'proxy port' }, stored.proxyPorts);
  let next = Math.max(stored.nextGeneration, openGeneration + 1);
  let reserved = next;
  let saved = '';

  function save(): void {
    const value: StoredAllocation = {
      subjects: [...subjects.entries()],
      sets: [...sets.entries()],
      proxyPorts: [...proxyPorts.entries()],
      nextGeneration: reserved,
    };
    const text = JSON.stringify(value);
    if (text === saved) return;
    store.save(value);
    saved = text;
  }

  return {
    subjects,
    sets,
    proxyPorts,
    save,
    seen(found) {
      next = Math.max(next, found + 1);
    },
    newGeneration() {
      if (next >= reserved) {
        reserved = next + GENERATION_BLOCK;
        save();
      }
      next += 1;
      return generation(next - 1);
    },
  };
}
