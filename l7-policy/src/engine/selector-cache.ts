import type { LabelRequirement, Peer } from '../model/policy.ts';
import { containsPrefix } from '../net/prefix.ts';
import { peerKey } from '../parse/build-rule.ts';
import type { IdentityRow, Label } from './identity-table.ts';
import type { NamedPortCondition, PeerFacts } from './peer-facts.ts';
import { addBit, type GrowingSet, hasBit, noWords, removeBit } from './words.ts';

/** A peer description and the identities it selects at the moment. Shared by everything that asks the same. */
export interface Selector {
  readonly key: string;
  readonly peer: Exclude<Peer, { kind: 'any' }>;
  /** A named port that the peer must have as well; null: none. */
  readonly port: NamedPortCondition | null;
  readonly members: GrowingSet;
  /** Called before a member comes or goes, never while the selector is filled for the first time. */
  readonly users: Set<SelectorUser>;
  references: number;
}

export interface SelectorUser {
  selectionChanges(selector: Selector, index: number): void;
}

export interface SelectorCache {
  acquire(peer: Exclude<Peer, { kind: 'any' }>, port: NamedPortCondition | null): Selector;
  release(selector: Selector): void;
  /** A new identity: it becomes a member of all that select it. */
  addRow(row: IdentityRow): void;
  removeRow(row: IdentityRow): void;
  /** Facts about one identity changed (names, service addresses, named ports): its memberships are looked at again. */
  recheckRow(row: IdentityRow, concerns: (selector: Selector) => boolean): void;
  /** Facts about some selectors changed (groups, services): all rows are looked at again for them. */
  recheckSelectors(concerns: (selector: Selector) => boolean): void;
  selectors(): Iterable<Selector>;
}

/**
 * Which identities each selector selects, kept exact change by change. Label values lead to the selectors that
 * ask for them, so that a new identity is compared with few.
 */
export function createSelectorCache(rows: () => Iterable<IdentityRow>, facts: PeerFacts): SelectorCache {
  const byKey = new Map<string, Selector>();
  const anchored = new Map<string, Set<Selector>>();
  const postings = createPostings();

  function setMember(selector: Selector, row: IdentityRow, member: boolean): void {
    if (hasBit(selector.members.words, row.index) === member) return;
    for (const user of selector.users) user.selectionChanges(selector, row.index);
    if (member) addBit(selector.members, row.index);
    else removeBit(selector.members, row.index);
  }

  function* candidates(row: IdentityRow): Iterable<Selector> {
    const seen = new Set<Selector>();
    for (const anchor of rowAnchors(row)) {
      for (const selector of anchored.get(anchor) ?? []) {
        if (!seen.has(selector)) {
          seen.add(selector);
          yield selector;
        }
      }
    }
  }

  return {
    acquire(peer, port) {
      const key =
        port === null ? peerKey(peer) : `${peerKey(peer)}@${port.name}/${port.protocol}=${port.port}`;
      let selector = byKey.get(key);
      if (selector === undefined) {
        selector = { key, peer, port, members: { words: noWords }, users: new Set(), references: 0 };
        byKey.set(key, selector);
        for (const anchor of selectorAnchors(selector)) {
          const list = anchored.get(anchor) ?? new Set();
          list.add(selector);
          anchored.set(anchor, list);
        }
        const likely =
          selector.peer.kind === 'labels' ? postings.likely(selector.peer.selector.requirements) : null;
        for (const row of likely ?? rows()) {
          if (matchesRow(selector, row, facts)) addBit(selector.members, row.index);
        }
      }
      selector.references += 1;
      return selector;
    },
    release(selector) {
      selector.references -= 1;
      if (selector.references > 0) return;
      byKey.delete(selector.key);
      for (const anchor of selectorAnchors(selector)) {
        const list = anchored.get(anchor);
        list?.delete(selector);
        if (list?.size === 0) anchored.delete(anchor);
      }
    },
    addRow(row) {
      postings.add(row);
      for (const selector of candidates(row)) {
        if (matchesRow(selector, row, facts)) setMember(selector, row, true);
      }
    },
    removeRow(row) {
      for (const selector of candidates(row)) setMember(selector, row, false);
      postings.remove(row);
    },
    recheckRow(row, concerns) {
      for (const selector of candidates(row)) {
        if (concerns(selector)) setMember(selector, row, matchesRow(selector, row, facts));
      }
    },
    recheckSelectors(concerns) {
      for (const selector of byKey.values()) {
        if (!concerns(selector)) continue;
        for (const row of rows()) setMember(selector, row, matchesRow(selector, row, facts));
      }
    },
    selectors: () => byKey.values(),
  };
}

/** Whether a selector selects an identity, from the facts as they are. */
export function matchesRow(
  selector: Pick<Selector, 'peer' | 'port'>,
  row: IdentityRow,
  facts: PeerFacts,
): boolean {
  return (
    matchesPeer(selector.peer, row, facts) &&
    (selector.port === null || facts.hasNamedPort(row.index, selector.port))
  );
}

/** Whether a peer description takes an identity. */
export function matchesPeer(peer: Peer, row: IdentityRow, facts: PeerFacts): boolean {
  switch (peer.kind) {
    case 'any':
      return true;
    case 'labels':
      return matchesLabels(peer.selector.requirements, row.parsed);
    case 'nodes':
      return row.node && matchesLabels(peer.selector.requirements, row.parsed);
    case 'cidr':
      return row.prefixes.some(
        (prefix) =>
          containsPrefix(peer.prefix, prefix) &&
          !peer.except.some((except) => containsPrefix(except, prefix)),
      );
    case 'cidr-group':
      return row.prefixes.some(
        (prefix) =>
          facts.inGroups(peer.group, prefix) && !peer.except.some((except) => containsPrefix(except, prefix)),
      );
    case 'fqdn':
      return row.prefixes.some((prefix) => facts.resolvesTo(peer.match, prefix.text));
    case 'service':
      return facts.servesAs(peer.service, row);
  }
}

/** Whether labels meet all requirements. */
export function matchesLabels(requirements: readonly LabelRequirement[], labels: readonly Label[]): boolean {
  return requirements.every((requirement) => meets(requirement, labels));
}

/** Whether labels meet one requirement. */
export function meets(requirement: LabelRequirement, labels: readonly Label[]): boolean {
  const asked = (label: Label) =>
    label.key === requirement.key && (requirement.source === 'any' || requirement.source === label.source);
  switch (requirement.kind) {
    case 'in':
      return labels.some((label) => asked(label) && requirement.values.includes(label.value));
    case 'not-in':
      return !labels.some((label) => asked(label) && requirement.values.includes(label.value));
    case 'exists':
      return labels.some(asked);
    case 'absent':
      return !labels.some(asked);
  }
}

/** Keys under which selectors are kept that could select the row. */
function rowAnchors(row: IdentityRow): string[] {
  const anchors = ['*'];
  if (row.prefixes.length > 0) anchors.push('#prefix');
  if (row.node) anchors.push('#node');
  for (const { key, value } of row.parsed) anchors.push(`${key}`, `${key}=${value}`);
  return anchors;
}

/** Keys, of which a row must have one for the selector to select it. */
function selectorAnchors(selector: Selector): readonly string[] {
  const { peer } = selector;
  switch (peer.kind) {
    case 'cidr':
    case 'cidr-group':
    case 'fqdn':
      return ['#prefix'];
    case 'nodes':
      return ['#node'];
    case 'service':
      return ['*'];
    case 'labels':
      return labelAnchors(peer.selector.requirements);
  }
}

function labelAnchors(requirements: readonly LabelRequirement[]): readonly string[] {
  const positive = requirements.filter((item) => item.kind === 'in');
  // Namespaces are many pods' label: any other condition tells more.
  const best =
    positive.find((item) => !item.key.startsWith('io.kubernetes.pod.namespace')) ??
    positive[0] ??
    requirements.find((item) => item.kind === 'exists');
  if (best === undefined) return ['*'];
  return best.kind === 'in' ? best.values.map((value) => `${best.key}=${value}`) : [best.key];
}

interface Postings {
  add(row: IdentityRow): void;
  remove(row: IdentityRow): void;
  /** Rows of the rarest label that the requirements ask for; null: any row may do. */
  likely(requirements: readonly LabelRequirement[]): Iterable<IdentityRow> | null;
}

/** Label value -> rows, so that a new selector looks at few rows. */
function createPostings(): Postings {
  const rowsOf = new Map<string, Set<IdentityRow>>();
  const keysOf = (row: IdentityRow) =>
    new Set(row.parsed.flatMap(({ key, value }) => [key, `${key}=${value}`]));
  return {
    add(row) {
      for (const key of keysOf(row)) {
        const rows = rowsOf.get(key) ?? new Set();
        rows.add(row);
        rowsOf.set(key, rows);
      }
    },
    remove(row) {
      for (const key of keysOf(row)) {
        const rows = rowsOf.get(key);
        rows?.delete(row);
        if (rows?.size === 0) rowsOf.delete(key);
      }
    },
    likely(requirements) {
      let best: readonly ReadonlySet<IdentityRow>[] | null = null;
      let bestSize = Number.POSITIVE_INFINITY;
      for (const requirement of requirements) {
        if (requirement.kind === 'not-in' || requirement.kind === 'absent') continue;
        const keys =
          requirement.kind === 'in'
            ? requirement.values.map((value) => `${requirement.key}=${value}`)
            : [requirement.key];
        const sets = keys.map((key) => rowsOf.get(key) ?? new Set<IdentityRow>());
        const size = sets.reduce((sum, set) => sum + set.size, 0);
        if (size < bestSize) [best, bestSize] = [sets, size];
      }
      return best === null ? null : new Set(best.flatMap((set) => [...set]));
    },
  };
}
