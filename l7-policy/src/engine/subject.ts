import { digest } from '../digest.ts';
import type { Rule } from '../model/policy.ts';
import type { NamedPort } from '../types/fact.ts';
import type { Direction, SubjectKey, SubjectPolicy } from '../types/subject-policy.ts';
import type { DirectionState } from './direction-registry.ts';
import { type IdentityRow, type Label, parseLabel } from './identity-table.ts';
import { matchesLabels } from './selector-cache.ts';

/** Endpoints of one identity with the same named ports, which share a policy. */
export interface Subject {
  readonly key: SubjectKey;
  readonly row: IdentityRow;
  readonly namedPorts: readonly NamedPort[];
  readonly endpoints: Set<string>;
  readonly rules: Set<Rule>;
  /** Shared with the subjects of the same rules; null: not enforced. */
  ingress: DirectionState | null;
  egress: DirectionState | null;
  /** Directions whose rules have changed. */
  readonly stale: Set<Direction>;
  policy: SubjectPolicy | null;
}

/** The key of a subject: its labels and its named ports. */
export function subjectKey(row: IdentityRow, ports: readonly NamedPort[]): SubjectKey {
  const names = ports.map((port) => `${port.name.toLowerCase()}=${port.port}/${port.protocol}`).sort();
  return digest([String(row.identity), ...row.labels, '', ...names]) as SubjectKey;
}

export function createSubject(row: IdentityRow, namedPorts: readonly NamedPort[]): Subject {
  return {
    key: subjectKey(row, namedPorts),
    row,
    namedPorts,
    endpoints: new Set(),
    rules: new Set(),
    ingress: null,
    egress: null,
    stale: new Set(),
    policy: null,
  };
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
