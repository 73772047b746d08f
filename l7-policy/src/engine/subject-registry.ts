import type { Rule } from '../model/policy.ts';
import type { EngineDelta } from '../types/delta.ts';
import type { NamedPort } from '../types/fact.ts';
import type { Direction, DirectionId, SubjectKey, SubjectPolicy } from '../types/subject-policy.ts';
import type { DirectionRegistry, DirectionState } from './direction-registry.ts';
import type { GrantNumbers } from './grant-numbers.ts';
import type { IdentityRow } from './identity-table.ts';
import { createSubject, type Subject, selectsSubject, subjectKey } from './subject.ts';

export interface SubjectChanges extends Pick<EngineDelta, 'subjects' | 'directions'> {
  /** Subjects whose tables for subjects of this node may have changed, and those that are gone, for the classes. */
  readonly compiled: ReadonlySet<Subject>;
  readonly gone: ReadonlySet<Subject>;
}

/** The subjects of this node: which rules select them, and their direction policies. */
export interface SubjectRegistry {
  /** Puts an endpoint under its subject. */
  join(endpoint: string, row: IdentityRow, ports: readonly NamedPort[]): Subject;
  leave(endpoint: string, subject: Subject): void;
  addRule(rule: Rule): void;
  removeRule(rule: Rule): void;
  /** The ports that peers have under a name changed. */
  portsChanged(name: string): void;
  /** Compiles whatever is out of date. */
  takeChanges(): SubjectChanges;
  subjects(): ReadonlyMap<SubjectKey, Subject>;
}

interface Parts {
  readonly directions: DirectionRegistry;
  readonly grants: GrantNumbers;
  readonly enforcement: 'default' | 'always' | 'never';
}

const bothDirections = ['ingress', 'egress'] as const;

export function createSubjectRegistry({ directions, grants, enforcement }: Parts): SubjectRegistry {
  const subjects = new Map<SubjectKey, Subject>();
  const rules = new Set<Rule>();
  const dirty = new Set<Subject>();
  const gone = new Set<Subject>();
  /** Indices of the identities that have subjects here. */
  const localRows = new Set<number>();

  const markStale = (subject: Subject, direction: Direction) => {
    subject.stale.add(direction);
    dirty.add(subject);
  };

  const touch = (subject: Subject, rule: Rule) => {
    for (const direction of bothDirections) if (rule[direction] !== 'none') markStale(subject, direction);
  };

  const find = (subject: Subject, direction: Direction): DirectionState | null => {
    if (enforcement === 'never') return null;
    const reserved = (name: string) =>
      subject.row.parsed.some((label) => label.source === 'reserved' && label.key === name);
    return directions.acquire({
      rules: subject.rules,
      direction,
      alwaysEnforced: enforcement === 'always' || reserved('init'),
      host: reserved('host'),
      namedPorts: subject.namedPorts,
    });
  };

  /** true when the subject has another direction policy now. */
  const replace = (subject: Subject, direction: Direction, after: DirectionState | null): boolean => {
    const before = subject[direction];
    // The new one is acquired first, so that one that stays is not dropped in between.
    if (before !== null) directions.release(before);
    subject[direction] = after;
    return before !== after;
  };

  const idOf = (state: DirectionState | null): DirectionId | null => state?.id ?? null;

  const dropGone = (): SubjectKey[] => {
    const removed: SubjectKey[] = [];
    for (const subject of gone) {
      for (const direction of bothDirections) replace(subject, direction, null);
      dirty.delete(subject);
      if (subject.policy !== null) removed.push(subject.key);
      if (subjects.get(subject.key) === subject) subjects.delete(subject.key);
    }
    if (gone.size > 0) {
      localRows.clear();
      for (const { row } of subjects.values()) localRows.add(row.index);
    }
    return removed;
  };

  return {
    join(endpoint, row, ports) {
      const key = subjectKey(row, ports);
      let subject = subjects.get(key);
      if (subject === undefined || subject.row !== row) {
        if (subject !== undefined) gone.add(subject);
        subject = createSubject(row, ports);
        subjects.set(key, subject);
        localRows.add(row.index);
        for (const rule of rules) if (selectsSubject(rule, row.parsed)) subject.rules.add(rule);
        for (const direction of bothDirections) markStale(subject, direction);
      }
      subject.endpoints.add(endpoint);
      gone.delete(subject);
      return subject;
    },
    leave(endpoint, subject) {
      subject.endpoints.delete(endpoint);
      if (subject.endpoints.size === 0) gone.add(subject);
    },
    addRule(rule) {
      rules.add(rule);
      grants.add(rule);
      for (const subject of subjects.values()) {
        if (!selectsSubject(rule, subject.row.parsed)) continue;
        subject.rules.add(rule);
        touch(subject, rule);
      }
    },
    removeRule(rule) {
      rules.delete(rule);
      grants.remove(rule);
      for (const subject of subjects.values()) if (subject.rules.delete(rule)) touch(subject, rule);
    },
    portsChanged(name) {
      const naming = new Set(directions.naming(name));
      if (naming.size === 0) return;
      for (const subject of subjects.values()) {
        if (subject.egress !== null && naming.has(subject.egress)) markStale(subject, 'egress');
      }
    },
    takeChanges() {
      const removed = dropGone();
      const added: SubjectPolicy[] = [];
      const changed: SubjectPolicy[] = [];
      const compiled = new Set<Subject>();
      for (const subject of dirty) {
        let differs = subject.policy === null;
        for (const direction of subject.stale) {
          if (replace(subject, direction, find(subject, direction))) differs = true;
        }
        subject.stale.clear();
        if (!differs) continue;
        compiled.add(subject);
        const before = subject.policy;
        subject.policy = Object.freeze({
          key: subject.key,
          identity: subject.row.identity,
          ingress: idOf(subject.ingress),
          egress: idOf(subject.egress),
        });
        (before === null ? added : changed).push(subject.policy);
      }
      dirty.clear();
      const met = new Set<DirectionState>();
      const directionChanges = directions.takeChanges((state, index) => {
        if (localRows.has(index)) met.add(state);
      });
      if (met.size > 0) {
        for (const subject of subjects.values()) {
          const meets = (state: DirectionState | null) => state !== null && met.has(state);
          if (meets(subject.ingress) || meets(subject.egress)) compiled.add(subject);
        }
      }
      const result = {
        subjects: { added, changed, removed },
        directions: directionChanges,
        compiled,
        gone: new Set(gone),
      };
      gone.clear();
      return result;
    },
    subjects: () => subjects,
  };
}
