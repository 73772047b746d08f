import { digest } from '../digest.ts';
import type { Document, RuleSpec, SlotSpec } from '../model/policy.ts';
import type { HttpRule, L7Rule } from '../types/l7-rule.ts';
import type { L7Set, L7Slot, SlotId } from '../types/subject-policy.ts';

export interface SlotChanges {
  readonly added: readonly L7Slot[];
  readonly changed: readonly L7Slot[];
  readonly removed: readonly SlotId[];
}

/** Slots of the documents in force, and which of them some set uses. */
export interface SlotRegistry {
  addDocument(document: Document): void;
  removeDocument(document: Document): void;
  setSecret(name: string, value: string | null): void;
  useSet(set: L7Set): void;
  dropSet(set: L7Set): void;
  takeChanges(): SlotChanges;
  get(id: SlotId): L7Slot | undefined;
  published(): ReadonlyMap<SlotId, L7Slot>;
  /** Those of all documents, used or not. */
  declared(): readonly L7Slot[];
}

export function createSlotRegistry(): SlotRegistry {
  const specs = new Map<SlotId, SlotSpec>();
  const secrets = new Map<string, string>();
  const references = new Map<SlotId, number>();
  const published = new Map<SlotId, L7Slot>();
  const touched = new Set<SlotId>();
  const refer = (set: L7Set, by: number) => {
    for (const id of set.slots) {
      references.set(id, (references.get(id) ?? 0) + by);
      touched.add(id);
    }
  };
  return {
    addDocument(document) {
      for (const spec of slotsOf(document)) {
        specs.set(spec.id, spec);
        touched.add(spec.id);
      }
    },
    removeDocument(document) {
      for (const spec of slotsOf(document)) {
        if (specs.get(spec.id) === spec) specs.delete(spec.id);
        touched.add(spec.id);
      }
    },
    setSecret(name, value) {
      if (value === null) secrets.delete(name);
      else secrets.set(name, value);
      for (const spec of specs.values()) if (needsSecret(spec, name)) touched.add(spec.id);
    },
    useSet: (set) => refer(set, 1),
    dropSet: (set) => refer(set, -1),
    takeChanges() {
      const added: L7Slot[] = [];
      const changed: L7Slot[] = [];
      const removed: SlotId[] = [];
      for (const id of touched) {
        const before = published.get(id);
        const spec = specs.get(id);
        if ((references.get(id) ?? 0) <= 0 || spec === undefined) {
          references.delete(id);
          if (before !== undefined) {
            published.delete(id);
            removed.push(id);
          }
          continue;
        }
        const slot = completeSlot(spec, secrets);
        published.set(id, slot);
        if (before === undefined) added.push(slot);
        else if (before.digest !== slot.digest) changed.push(slot);
      }
      touched.clear();
      return { added, changed, removed };
    },
    get: (id) => published.get(id),
    published: () => published,
    declared: () => [...specs.values()].map((spec) => completeSlot(spec, secrets)),
  };
}

function slotsOf(document: Document): SlotSpec[] {
  if (document.kind !== 'policy') return [];
  return document.rules.flatMap((rule) =>
    rule.grants.flatMap((grant) => (grant.slot === null ? [] : [grant.slot])),
  );
}

function needsSecret(spec: SlotSpec, name: string): boolean {
  return spec.rules.some(
    ({ rule }) => rule.kind === 'http' && rule.headerMatches.some((match) => match.secret === name),
  );
}

function completeSlot(spec: SlotSpec, secrets: ReadonlyMap<string, string>): L7Slot {
  const rules = spec.rules.map(({ rule }) => completeRule(rule, secrets));
  const values = rules.flatMap((rule) =>
    rule.kind === 'http' ? rule.headerMatches.map((match) => match.value ?? 'unknown secret') : [],
  );
  return Object.freeze({
    id: spec.id,
    direction: spec.direction,
    kind: spec.kind,
    rules: Object.freeze(rules),
    tls: spec.tls,
    source: spec.source,
    digest: digest([
      spec.kind,
      spec.tls?.terminating ?? '',
      spec.tls?.originating ?? '',
      ...rules.map((rule) => rule.id),
      ...values,
    ]),
  });
}

function completeRule(rule: RuleSpec, secrets: ReadonlyMap<string, string>): L7Rule {
  if (rule.kind !== 'http') return rule;
  const headerMatches = rule.headerMatches.map(({ name, value, secret, mismatch }) => ({
    name,
    mismatch,
    secret: secret !== null,
    value: secret === null ? value : (secrets.get(secret) ?? (value === '' ? null : value)),
  }));
  const complete: HttpRule = { ...rule, headerMatches };
  return Object.freeze(complete);
}
