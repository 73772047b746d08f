import { digest } from '../digest.ts';
import type { Rule } from '../model/policy.ts';
import type { NamedPort } from '../types/fact.ts';
import type { Direction, SubjectKey, SubjectPolicy } from '../types/subject-policy.ts';
import { type DirectionPolicy, type DirectionRules, openDirection } from './direction-policy.ts';
import { type IdentityRow, type Label, parseLabel } from './identity-table.ts';
import { matchesLabels, type Selector, type SelectorUser } from './selector-cache.ts';
import type { SetHandle } from './set-registry.ts';

/** One direction of a subject while the engine works on it. */
export interface DirectionState extends SelectorUser {
  readonly subject: Subject;
  readonly direction: Direction;
  rules: DirectionRules | null;
  policy: DirectionPolicy;
  /** The L7 sets in its tables. */
  sets: ReadonlySet<SetHandle>;
  /** Port names whose meaning depends on the peers. */
  names: readonly string[];
  /** Everything must be compiled again. */
  stale: boolean;
  /** Identities, by index, that came to or left selectors. */
  readonly moved: Map<number, Selector[]>;
}

/** Endpoints of one identity with the same named ports, which share a policy. */
export interface Subject {
  readonly key: SubjectKey;
  readonly row: IdentityRow;
  readonly namedPorts: readonly NamedPort[];
  readonly endpoints: Set<string>;
  readonly rules: Set<Rule>;
  readonly ingress: DirectionState;
  readonly egress: DirectionState;
  policy: SubjectPolicy | null;
}

/** The key of a subject: its labels and its named ports. */
export function subjectKey(row: IdentityRow, ports: readonly NamedPort[]): SubjectKey {
  const names = ports.map((port) => `${port.name.toLowerCase()}=${port.port}/${port.protocol}`).sort();
  return digest([String(row.identity), ...row.labels, '', ...names]) as SubjectKey;
}

export function createSubject(
  row: IdentityRow,
  namedPorts: readonly NamedPort[],
  dirty: (state: DirectionState) => void,
): Subject {
  const direction = (name: Direction): DirectionState => ({
    get subject() {
      return subject;
    },
    direction: name,
    rules: null,
    policy: openDirection,
    sets: new Set(),
    names: [],
    stale: true,
    moved: new Map(),
    selectionChanges(selector, index) {
      const flipped = this.moved.get(index);
      if (flipped === undefined) this.moved.set(index, [selector]);
      else flipped.push(selector);
      dirty(this);
    },
  });
  const subject: Subject = {
    key: subjectKey(row, namedPorts),
    row,
    namedPorts,
    endpoints: new Set(),
    rules: new Set(),
    ingress: direction('ingress'),
    egress: direction('egress'),
    policy: null,
  };
  return subject;
}

/** Whether a rule binds endpoints with these labels. Node rules bind the local node and nothing else. */
export function selectsSubject(rule: Rule, labels: readonly Label[]): boolean {
  const host = labels.some((label) => label.source === 'reserved' && label.key === 'host');
  return rule.node === host && matchesLabels(rule.subject.requirements, labels);
}

/** Whether a rule binds endpoints with these labels, given as texts. */
export function selectsLabels(rule: Rule, labels: readonly string[]): boolean {
  return selectsSubject(rule, labels.map(parseLabel));
}
