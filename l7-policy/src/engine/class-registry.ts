import type { ClassId, L7Class, L7Set } from '../types/subject-policy.ts';
import { makeClass, meetingPairs, type Redirect, redirectsOf } from './class-pairs.ts';
import { tableAt } from './direction-policy.ts';
import type { DirectionState } from './direction-registry.ts';
import type { Subject } from './subject.ts';

/** The pairs of L7 sets that can meet on this node, kept by who can reach whom. */
export interface ClassRegistry {
  /** A set came into use or went: so does the class where the other side is elsewhere. */
  useSet(set: L7Set): void;
  dropSet(set: L7Set): void;
  /** Looks again at everything that these subjects can meet. */
  recheck(changed: ReadonlySet<Subject>, gone: ReadonlySet<Subject>, all: Iterable<Subject>): void;
  takeChanges(): { readonly added: readonly L7Class[]; readonly removed: readonly ClassId[] };
  published(): ReadonlyMap<ClassId, L7Class>;
}

export function createClassRegistry(): ClassRegistry {
  const counts = new Map<ClassId, { readonly value: L7Class; count: number }>();
  const published = new Map<ClassId, L7Class>();
  const touched = new Map<ClassId, L7Class>();
  const pairs = new Map<Subject, Map<Subject, readonly L7Class[]>>();
  const oneSided = new Map<string, L7Class>();

  const refer = (value: L7Class, by: number) => {
    const entry = counts.get(value.id) ?? { value, count: 0 };
    entry.count += by;
    if (entry.count > 0) counts.set(value.id, entry);
    else counts.delete(value.id);
    touched.set(value.id, value);
  };

  const replacePair = (from: Subject, to: Subject, classes: readonly L7Class[]) => {
    const row = pairs.get(from) ?? new Map<Subject, readonly L7Class[]>();
    for (const value of classes) refer(value, 1);
    for (const value of row.get(to) ?? []) refer(value, -1);
    if (classes.length === 0) row.delete(to);
    else row.set(to, classes);
    if (row.size === 0) pairs.delete(from);
    else pairs.set(from, row);
  };

  const lookAt = (from: Subject, to: Subject) => {
    const classes = new Map<ClassId, L7Class>();
    for (const [egress, ingress] of meetingPairs(
      redirects(from, to, 'egress'),
      redirects(to, from, 'ingress'),
    )) {
      const value = makeClass(egress, ingress);
      if (value !== null) classes.set(value.id, value);
    }
    replacePair(from, to, [...classes.values()]);
  };

  return {
    useSet(set) {
      const value = set.direction === 'egress' ? makeClass(set, null) : makeClass(null, set);
      if (value === null) return;
      oneSided.set(set.id, value);
      refer(value, 1);
    },
    dropSet(set) {
      const value = oneSided.get(set.id);
      if (value !== undefined) refer(value, -1);
      oneSided.delete(set.id);
    },
    recheck(changed, gone, all) {
      for (const subject of gone) {
        for (const to of [...(pairs.get(subject)?.keys() ?? [])]) replacePair(subject, to, []);
        for (const [from, row] of [...pairs]) if (row.has(subject)) replacePair(from, subject, []);
      }
      if (changed.size === 0) return;
      const subjects = [...all];
      const senders = subjects.filter((subject) => asksForL7(subject.egress));
      const receivers = subjects.filter((subject) => asksForL7(subject.ingress));
      for (const subject of changed) {
        const reached = new Set([
          ...(pairs.get(subject)?.keys() ?? []),
          ...(asksForL7(subject.egress) ? receivers : []),
        ]);
        for (const to of reached) lookAt(subject, to);
        for (const [from, row] of [...pairs]) {
          if (row.has(subject) && !changed.has(from) && !asksForL7(subject.ingress)) lookAt(from, subject);
        }
        if (!asksForL7(subject.ingress)) continue;
        for (const from of senders) if (!changed.has(from)) lookAt(from, subject);
      }
    },
    takeChanges() {
      const added: L7Class[] = [];
      const removed: ClassId[] = [];
      for (const [id, value] of touched) {
        const used = counts.has(id);
        if (used === published.has(id)) continue;
        if (used) {
          published.set(id, value);
          added.push(value);
        } else {
          published.delete(id);
          removed.push(id);
        }
      }
      touched.clear();
      return { added, removed };
    },
    published: () => published,
  };
}

function redirects(subject: Subject, peer: Subject, direction: 'ingress' | 'egress'): readonly Redirect[] {
  const state = subject[direction];
  return state === null ? [] : redirectsOf(tableAt(state.compiled, peer.row.index));
}

function asksForL7(state: DirectionState | null): boolean {
  return state !== null && state.sets.length > 0;
}
