import type { Peer, Rule } from '../model/policy.ts';
import type { SubjectChange } from '../types/delta.ts';
import type { NamedPort } from '../types/fact.ts';
import { anyIdentity, type Identity } from '../types/identity.ts';
import type { Direction, PolicyMapEntry, SubjectKey, SubjectPolicy } from '../types/subject-policy.ts';
import type { PortTable } from './compile-table.ts';
import {
  compileDirection,
  diffDirections,
  moveIdentity,
  moveUser,
  openDirection,
  setsOf,
} from './direction-policy.ts';
import { collectDirection, noRules, peerPortNames } from './direction-rules.ts';
import type { IdentityRow, IdentityTable } from './identity-table.ts';
import type { PeerFactStore } from './peer-fact-store.ts';
import type { SelectorCache } from './selector-cache.ts';
import type { SetRegistry } from './set-registry.ts';
import { createSubject, type DirectionState, type Subject, selectsSubject, subjectKey } from './subject.ts';
import { codeEntry, createSubjectPolicy } from './subject-snapshot.ts';

export interface SubjectOptions {
  readonly enforcement: 'default' | 'always' | 'never';
  readonly allowLocalhost: boolean;
}

export interface SubjectChanges {
  readonly added: readonly SubjectPolicy[];
  readonly changed: readonly SubjectChange[];
  readonly removed: readonly SubjectKey[];
  /** Subjects whose tables for subjects of this node may have changed, and those that are gone, for the classes. */
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
  /** Indices of the identities that have subjects here. */
  const localRows = new Set<number>();
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
    if (options.enforcement === 'never') return noRules;
    const reserved = (name: string) =>
      subject.row.parsed.some((label) => label.source === 'reserved' && label.key === name);
    const held = new Set<string>();
    return collectDirection([...subject.rules], {
      direction,
      alwaysEnforced: options.enforcement === 'always' || reserved('init'),
      allowLocalhost: options.allowLocalhost,
      host: reserved('host'),
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

  /** Compiles what is out of date and writes down how the entries differ. */
  const compile = (state: DirectionState, diff: EntryDiff) => {
    const { direction } = state;
    const before = state.policy;
    let setsChanged = state.stale;
    if (state.stale) {
      diff.meets = true;
      const after = collect(state);
      replaceRules(state, after, peerPortNames([...state.subject.rules], direction));
      state.policy = compileDirection(after, direction, sets, table.capacity());
      diffDirections(before, state.policy, table.capacity(), (index, old, now) => {
        const identity = index < 0 ? anyIdentity : table.at(index)?.identity;
        if (identity !== undefined) diffTables(diff, direction, identity, old, now);
      });
    } else if (state.rules !== null) {
      for (const [index, flipped] of state.moved) {
        const move = moveIdentity(state.policy, state.rules, index, flipped, direction, sets);
        if (move === null) continue;
        state.policy = move.policy;
        if (move.setsChanged) setsChanged = true;
        if (localRows.has(index)) diff.meets = true;
        const identity = table.at(index)?.identity;
        if (identity !== undefined) diffTables(diff, direction, identity, move.before, move.after);
      }
    }
    state.stale = false;
    state.moved.clear();
    if (setsChanged) replaceSets(state);
    return before.enforced !== state.policy.enforced;
  };

  const replaceSets = (state: DirectionState) => {
    const after = setsOf(state.policy);
    if (after.size === 0 && state.sets.size === 0) return;
    for (const handle of after) if (!state.sets.has(handle)) sets.acquire(handle);
    for (const handle of state.sets) if (!after.has(handle)) sets.release(handle);
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
        localRows.add(row.index);
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
        if (subject.policy !== null) removed.push(subject.key);
        if (subjects.get(subject.key) === subject) subjects.delete(subject.key);
        added.delete(subject);
      }
      if (gone.size > 0) {
        localRows.clear();
        for (const { row } of subjects.values()) localRows.add(row.index);
      }
      const diffs = new Map<Subject, EntryDiff>();
      for (const state of dirty) {
        const diff = diffs.get(state.subject) ?? { added: [], removed: [], enforced: false, meets: false };
        diffs.set(state.subject, diff);
        if (compile(state, diff)) diff.enforced = true;
      }
      dirty.clear();
      const changed: SubjectChange[] = [];
      const fresh: SubjectPolicy[] = [];
      const compiled = new Set<Subject>();
      for (const [subject, diff] of diffs) {
        const same = diff.added.length === 0 && diff.removed.length === 0 && !diff.enforced;
        if (same && !added.has(subject)) continue;
        if (diff.meets) compiled.add(subject);
        const previous = subject.policy;
        const directions = { ingress: subject.ingress.policy, egress: subject.egress.policy };
        const policy = createSubjectPolicy(subject.key, subject.row.identity, directions, table.numbers());
        subject.policy = policy;
        if (previous === null) fresh.push(policy);
        else {
          const { enforced } = policy;
          changed.push({ key: subject.key, enforced, added: diff.added, removed: diff.removed, policy });
        }
      }
      const result = { added: fresh, changed, removed, compiled, gone: new Set(gone) };
      added.clear();
      gone.clear();
      return result;
    },
    subjects: () => subjects,
  };
}

interface EntryDiff {
  readonly added: PolicyMapEntry[];
  readonly removed: PolicyMapEntry[];
  enforced: boolean;
  /** What it says of other subjects of this node may have changed. */
  meets: boolean;
}

/** Both tables are sorted by code. */
function diffTables(
  diff: EntryDiff,
  direction: Direction,
  identity: Identity,
  old: PortTable,
  now: PortTable,
): void {
  let i = 0;
  let j = 0;
  while (i < old.codes.length || j < now.codes.length) {
    const before = old.codes[i] ?? Number.POSITIVE_INFINITY;
    const after = now.codes[j] ?? Number.POSITIVE_INFINITY;
    const oldVerdict = old.verdicts[i];
    const newVerdict = now.verdicts[j];
    const same = before === after && oldVerdict === newVerdict;
    if (before <= after) {
      if (!same && oldVerdict !== undefined)
        diff.removed.push(codeEntry(before, oldVerdict, direction, identity));
      i += 1;
    }
    if (after <= before) {
      if (!same && newVerdict !== undefined)
        diff.added.push(codeEntry(after, newVerdict, direction, identity));
      j += 1;
    }
  }
}
