import { digest } from '../digest.ts';
import type { L7Kind } from '../types/l7-rule.ts';
import type { ClassId, Direction, L7Set, L7SetId, SlotId } from '../types/subject-policy.ts';

/** A slot as compilation knows it. */
export interface SlotHandle {
  readonly id: SlotId;
  readonly kind: L7Kind;
}

/** A set with the small number that tables carry; numbers below `firstSetNumber` are plain verdicts. */
export interface SetHandle {
  readonly number: number;
  readonly set: L7Set;
  references: number;
}

export const firstSetNumber = 3;

export interface SetRegistry {
  /** The set of these slots, which are of kinds that go together. Not yet in use. */
  intern(direction: Direction, slots: readonly SlotHandle[]): SetHandle;
  at(number: number): SetHandle;
  /** Sets that came into use or went out of it since the last call; those without use are forgotten. */
  takeChanges(): { readonly added: readonly SetHandle[]; readonly removed: readonly L7Set[] };
  acquire(number: number): void;
  release(number: number): void;
  inUse(): Iterable<L7Set>;
}

export function createSetRegistry(): SetRegistry {
  const byKey = new Map<string, SetHandle>();
  const byNumber = new Map<number, SetHandle>();
  const published = new Map<L7SetId, SetHandle>();
  const touched = new Set<SetHandle>();
  let next = firstSetNumber;
  const at = (number: number): SetHandle => {
    const handle = byNumber.get(number);
    if (handle === undefined) throw new Error(`no L7 set has the number ${number}`);
    return handle;
  };
  return {
    intern(direction, slots) {
      const ids = [...new Set(slots.map((slot) => slot.id))].sort();
      const key = `${direction}:${ids.join(',')}`;
      let handle = byKey.get(key);
      if (handle === undefined) {
        const kind = slots.some((slot) => slot.kind === 'tls') ? 'tls' : (slots[0]?.kind ?? 'http');
        const id = digest(['set', direction, ...ids]) as L7SetId;
        const set = Object.freeze({ id, direction, kind, slots: Object.freeze(ids) });
        handle = { number: next++, set, references: 0 };
        byKey.set(key, handle);
        byNumber.set(handle.number, handle);
        touched.add(handle);
      }
      return handle;
    },
    at,
    acquire(number) {
      const handle = at(number);
      handle.references += 1;
      touched.add(handle);
    },
    release(number) {
      const handle = at(number);
      handle.references -= 1;
      touched.add(handle);
    },
    takeChanges() {
      const added: SetHandle[] = [];
      const removed: L7Set[] = [];
      for (const handle of touched) {
        const known = published.has(handle.set.id);
        if (handle.references > 0 && !known) {
          published.set(handle.set.id, handle);
          added.push(handle);
        }
        if (handle.references > 0) continue;
        if (known) {
          published.delete(handle.set.id);
          removed.push(handle.set);
        }
        byKey.delete(`${handle.set.direction}:${handle.set.slots.join(',')}`);
        byNumber.delete(handle.number);
      }
      touched.clear();
      return { added, removed };
    },
    *inUse() {
      for (const handle of published.values()) yield handle.set;
    },
  };
}

/** The class of a pair of sets, by their ids. */
export function classId(egress: L7SetId | null, ingress: L7SetId | null): ClassId {
  return digest(['class', egress ?? '', ingress ?? '']) as ClassId;
}

/** Whether slots of these kinds can share one listener: a TLS listener carries HTTP inside. */
export function kindsAgree(a: L7Kind, b: L7Kind): boolean {
  return a === b || (isHttpLike(a) && isHttpLike(b));
}

function isHttpLike(kind: L7Kind): boolean {
  return kind === 'http' || kind === 'tls';
}
