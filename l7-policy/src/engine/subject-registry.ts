import type { Peer, Rule } from '../model/policy.ts';
import type { SubjectChange } from '../types/delta.ts';
import type { NamedPort } from '../types/fact.ts';
import { anyIdentity } from '../types/identity.ts';
import type { Direction, PolicyMapEntry, SubjectKey, SubjectPolicy } from '../types/subject-policy.ts';
import {
  compileDirection,
  diffDirections,
  moveIdentity,
  moveUser,
  openDirection,
  setNumbersOf,
} from './direction-policy.ts';
import { collectDirection, peerPortNames } from './direction-rules.ts';
import type { IdentityRow, IdentityTable } from './identity-table.ts';
import type { PeerFactStore } from './peer-fact-store.ts';
import type { SelectorCache } from './selector-cache.ts';
import type { SetRegistry } from './set-registry.ts';
import { createSubject, type DirectionState, type Subject, selectsSubject, subjectKey } from './subject.ts';
import { createSubjectPolicy, tableEntries } from './subject-snapshot.ts';

export interface SubjectOptions {
  readonly enforcement: 'default' | 'always' | 'never';
  readonly allowLocalhost: boolean;
}

export interface SubjectChanges {
  readonly added: readonly SubjectPolicy[];
  readonly changed: readonly SubjectChange[];
  readonly removed: readonly SubjectKey[];
  /** Subjects whose tables changed, and those that are gone, for the classes. */
  readonly compiled: ReadonlySet<Subject>;
  readonly gone: ReadonlySet<Subject>;
}

/** The subjects of this node: which rules select them, and their compiled policies. */
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
  readonly table: IdentityTable;
  readonly selectors: SelectorCache;
  readonly facts: PeerFactStore;
  readonly sets: SetRegistry;
  readonly options: SubjectOptions;
}

export function createSubjectRegistry({ table, selectors, facts, sets, options }: Parts): SubjectRegistry {
  const subjects = new Map<SubjectKey, Subject>();
  const rules = new Set<Rule>();
  const dirty = new Set<DirectionState>();
  const added = new Set<Subject>();
  const gone = new Set<Subject>();
  const byPortName = new Map<string, Set<DirectionState>>();

  const markStale = (state: DirectionState) => {
    state.stale = true;
    dirty.add(state);
  };

  const touch = (subject: Subject, rule: Rule) => {
    if (rule.ingress !== 'none') markStale(subject.ingress);
    if (rule.egress !== 'none') markStale(subject.egress);
  };

  const replaceRules = (state: DirectionState, after: DirectionState['rules'], names: readonly string[]) => {
    const before = state.rules;
    moveUser(state, before, after);
    state.rules = after;
    for (const { selector } of before?.own ?? []) selectors.release(selector);
    for (const name of state.names) byPortName.get(name)?.delete(state);
    state.names = names;
    for (const name of names) {
      const states = byPortName.get(name) ?? new Set();
      states.add(state);
      byPortName.set(name, states);
    }
  };

  const collect = (state: DirectionState) => {
    const { subject, direction } = state;
    if (options.enforcement === 'never') return { enforced: false, any: [], own: [] };
    const init = subject.row.parsed.some((label) => label.source === 'reserved' && label.key === 'init');
    const held = new Set<string>();
    return collectDirection([...subject.rules], {
      direction,
      alwaysEnforced: options.enforcement === 'always' || init,
      allowLocalhost: options.allowLocalhost,
      namedPorts: subject.namedPorts,
      peerPorts: facts.peerPorts,
      acquire(peer: Exclude<Peer, { kind: 'any' }>, port) {
        const selector = selectors.acquire(peer, port);
        // One reference for each selector of the direction, however often it is asked for.
        if (held.has(selector.key)) selectors.release(selector);
        held.add(selector.key);
        return selector;
      },
    });
  };

  const compile = (state: DirectionState) => {
    if (state.stale) {
      const after = collect(state);
      replaceRules(state, after, peerPortNames([...state.subject.rules], state.direction));
      state.policy = compileDirection(after, state.direction, sets, table.capacity());
    } else if (state.rules !== null) {
      for (const index of state.moved) {
        state.policy = moveIdentity(state.policy, state.rules, index, state.direction, sets);
      }
    }
    state.stale = false;
    state.moved.clear();
  };

  const replaceSets = (state: DirectionState) => {
    const after = setNumbersOf(state.policy);
    for (const number of after) if (!state.sets.has(number)) sets.acquire(number);
    for (const number of state.sets) if (!after.has(number)) sets.release(number);
    state.sets = after;
  };

  const drop = (subject: Subject) => {
    for (const state of [subject.ingress, subject.egress]) {
      replaceRules(state, null, []);
      state.policy = openDirection;
      replaceSets(state);
      dirty.delete(state);
    }
  };

  return {
    join(endpoint, row, ports) {
      const key = subjectKey(row, ports);
      let subject = subjects.get(key);
      if (subject === undefined || subject.row !== row) {
        if (subject !== undefined) gone.add(subject);
        subject = createSubject(row, ports, (state) => void dirty.add(state));
        subjects.set(key, subject);
        added.add(subject);
        for (const rule of rules) if (selectsSubject(rule, row.parsed)) subject.rules.add(rule);
        markStale(subject.ingress);
        markStale(subject.egress);
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
      for (const subject of subjects.values()) {
        if (!selectsSubject(rule, subject.row.parsed)) continue;
        subject.rules.add(rule);
        touch(subject, rule);
      }
    },
    removeRule(rule) {
      rules.delete(rule);
      for (const subject of subjects.values()) if (subject.rules.delete(rule)) touch(subject, rule);
    },
    portsChanged(name) {
      for (const state of byPortName.get(name) ?? []) markStale(state);
    },
    takeChanges() {
      const removed: SubjectKey[] = [];
      for (const subject of gone) {
        drop(subject);
        if (subjects.get(subject.key) === subject) {
          subjects.delete(subject.key);
          if (subject.policy !== null) removed.push(subject.key);
        }
        added.delete(subject);
      }
      const before = new Map<Subject, Record<Direction, DirectionState['policy']>>();
      for (const { subject } of dirty) {
        before.set(subject, { ingress: subject.ingress.policy, egress: subject.egress.policy });
      }
      for (const state of dirty) compile(state);
      dirty.clear();
      const changed: SubjectChange[] = [];
      const fresh: SubjectPolicy[] = [];
      const compiled = new Set<Subject>();
      for (const [subject, old] of before) {
        const { ingress, egress } = subject;
        const entries = diffEntries(old, subject, table, sets);
        const same =
          entries.added.length === 0 &&
          entries.removed.length === 0 &&
          old.ingress.enforced === ingress.policy.enforced &&
          old.egress.enforced === egress.policy.enforced;
        replaceSets(ingress);
        replaceSets(egress);
        if (same && !added.has(subject)) continue;
        compiled.add(subject);
        const previous = subject.policy;
        const policy = createSubjectPolicy(
          subject.key,
          subject.row.identity,
          { ingress: ingress.policy, egress: egress.policy },
          table.numbers(),
          sets,
        );
        subject.policy = policy;
        if (previous === null) fresh.push(policy);
        else changed.push({ key: subject.key, enforced: policy.enforced, ...entries, policy });
      }
      const result = { added: fresh, changed, removed, compiled, gone: new Set(gone) };
      added.clear();
      gone.clear();
      return result;
    },
    subjects: () => subjects,
  };
}

function diffEntries(
  before: Record<Direction, DirectionState['policy']>,
  subject: Subject,
  table: IdentityTable,
  sets: SetRegistry,
): { readonly added: readonly PolicyMapEntry[]; readonly removed: readonly PolicyMapEntry[] } {
  const added: PolicyMapEntry[] = [];
  const removed: PolicyMapEntry[] = [];
  for (const direction of ['ingress', 'egress'] as const) {
    diffDirections(before[direction], subject[direction].policy, table.capacity(), (index, old, now) => {
      const identity = index < 0 ? anyIdentity : table.at(index)?.identity;
      if (identity === undefined) return;
      const kept = new Map(old.codes.map((code, at) => [code, old.verdicts[at]]));
      const same = (at: number) => kept.get(now.codes[at] ?? -1) === now.verdicts[at];
      const current = new Map(now.codes.map((code, at) => [code, now.verdicts[at]]));
      removed.push(
        ...tableEntries(old, direction, identity, sets).filter(
          (_, at) => current.get(old.codes[at] ?? -1) !== old.verdicts[at],
        ),
      );
      added.push(...tableEntries(now, direction, identity, sets).filter((_, at) => !same(at)));
    });
  }
  return { added, removed };
}
