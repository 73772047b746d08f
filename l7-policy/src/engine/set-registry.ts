import { digest } from '../digest.ts';
import type { L7Kind } from '../types/l7-rule.ts';
import type { ClassId, Direction, EntryVerdict, L7Set, L7SetId, SlotId } from '../types/subject-policy.ts';

/** A slot as compilation knows it. */
export interface SlotHandle {
  readonly id: SlotId;
  readonly kind: L7Kind;
}

/** A set with the verdict that tables carry for it; one handle for each set, so that verdicts compare by identity. */
export interface SetHandle {
  readonly set: L7Set;
  readonly verdict: EntryVerdict;
  references: number;
}

export interface SetRegistry {
  /** The set of these slots, which are of kinds that go together. Not yet in use. */
  intern(direction: Direction, slots: readonly SlotHandle[]): SetHandle;
  /** Sets that came into use or went out of it since the last call; those without use are forgotten. */
  takeChanges(): { readonly added: readonly L7Set[]; readonly removed: readonly L7Set[] };
  acquire(handle: SetHandle): void;
  release(handle: SetHandle): void;
  inUse(): ReadonlyMap<L7SetId, L7Set>;
}

export function createSetRegistry(): SetRegistry {
  const byKey = new Map<string, SetHandle>();
  const published = new Map<L7SetId, L7Set>();
  const touched = new Set<SetHandle>();
  return {
    intern(direction, slots) {
      const ids = [...new Set(slots.map((slot) => slot.id))].sort();
      const key = setKey(direction, ids);
      let handle = byKey.get(key);
      if (handle === undefined) {
        const kind = slots.some((slot) => slot.kind === 'tls') ? 'tls' : (slots[0]?.kind ?? 'http');
        const id = digest(['set', direction, ...ids]) as L7SetId;
        const set = Object.freeze({ id, direction, kind, slots: Object.freeze(ids) });
        handle = { set, verdict: Object.freeze({ kind: 'l7', set: id }), references: 0 };
        byKey.set(key, handle);
        touched.add(handle);
      }
      return handle;
    },
    acquire(handle) {
      handle.references += 1;
      touched.add(handle);
    },
    release(handle) {
      handle.references -= 1;
      touched.add(handle);
    },
    takeChanges() {
      const added: L7Set[] = [];
      const removed: L7Set[] = [];
      for (const { set, references } of touched) {
        const known = published.has(set.id);
        if (references > 0) {
          if (known) continue;
          published.set(set.id, set);
          added.push(set);
          continue;
        }
        if (published.delete(set.id)) removed.push(set);
        byKey.delete(setKey(set.direction, set.slots));
      }
      touched.clear();
      return { added, removed };
    },
    inUse: () => published,
  };
}

function setKey(direction: Direction, ids: readonly SlotId[]): string {
  return `${direction}:${ids.join(',')}`;
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
