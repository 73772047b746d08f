import {
  type Direction,
  type EngineState,
  type EntryVerdict,
  kindsAgree,
  type L7SetId,
  type L7Slot,
  lookupVerdict,
  type PolicyMapEntry,
  type SubjectKey,
} from '@weir/l7-policy';
import type { PartyState } from './party.ts';
import type { PortRange } from './port-ranges.ts';

/** `rules`: passes through the proxy, which judges each request. */
export type FlowState = 'allowed' | 'denied' | 'rules';

/** What the two sides of a connection say together. */
export interface Judgement {
  readonly state: FlowState;
  /** Equal keys, equal verdict on every request. */
  readonly key: string;
  /** The L7 sets that judge requests; null for a side that allows. */
  readonly sets: readonly (L7SetId | null)[];
}

/** Compiled policies, arranged so that one pair of ends is judged without a look at the entries of others. */
export interface PolicyView {
  /** Entries that can decide connections between the two. */
  entries(from: PartyState, to: PartyState): readonly PolicyMapEntry[];
  /** Equal signatures in two views, equal judgement of every port. */
  signature(from: PartyState, to: PartyState): string;
  /** Judges the first port of a range. */
  judge(from: PartyState, to: PartyState, range: PortRange): Judgement;
  slots(judgement: Judgement): readonly L7Slot[];
}

const allowed: Judgement = { state: 'allowed', key: 'allowed', sets: [null, null] };
const denied: Judgement = { state: 'denied', key: 'denied', sets: [] };

export function createPolicyView(state: EngineState): PolicyView {
  const byPeer = new Map<SubjectKey, Map<string, PolicyMapEntry[]>>();
  const rowSignatures = new Map<readonly PolicyMapEntry[], string>();
  const contents = new Map<L7SetId, string>();

  function relevant(subject: PartyState, peer: PartyState, direction: Direction): readonly PolicyMapEntry[] {
    return rowsOf(subject, peer, direction).flat();
  }

  function rowsOf(
    { subject }: PartyState,
    peer: PartyState,
    direction: Direction,
  ): readonly (readonly PolicyMapEntry[])[] {
    if (subject === null) return [];
    const rows = byPeer.get(subject) ?? arrange(subject);
    return [`${direction} ${peer.identity}`, `${direction} 0`].flatMap((key) => {
      const row = rows.get(key);
      return row === undefined ? [] : [row];
    });
  }

  function sideSignature(subject: PartyState, peer: PartyState, direction: Direction): string {
    const policy = subject.subject === null ? undefined : state.subjects.get(subject.subject);
    if (policy === undefined || !policy.enforced[direction]) return 'free';
    return rowsOf(subject, peer, direction).map(rowSignature).join('/');
  }

  function rowSignature(row: readonly PolicyMapEntry[]): string {
    const known = rowSignatures.get(row);
    if (known !== undefined) return known;
    const signature = row
      .map(({ identity, protocol, port, portPrefixLength, verdict }) =>
        [
          identity === 0 ? 'any' : 'own',
          ...[protocol, port, portPrefixLength],
          verdict.kind === 'l7' ? contentOf(verdict.set) : verdict.kind,
        ].join(' '),
      )
      .sort()
      .join();
    rowSignatures.set(row, signature);
    return signature;
  }

  function arrange(subject: SubjectKey): Map<string, PolicyMapEntry[]> {
    const rows = new Map<string, PolicyMapEntry[]>();
    for (const entry of state.subjects.get(subject)?.entries ?? []) {
      const key = `${entry.direction} ${entry.identity}`;
      const row = rows.get(key);
      if (row === undefined) rows.set(key, [entry]);
      else row.push(entry);
    }
    byPeer.set(subject, rows);
    return rows;
  }

  function verdictOf(
    subject: PartyState,
    peer: PartyState,
    direction: Direction,
    { protocol, low }: PortRange,
  ): EntryVerdict {
    const policy = subject.subject === null ? undefined : state.subjects.get(subject.subject);
    if (policy === undefined) return { kind: 'allow' };
    const { key, identity, enforced } = policy;
    const entries = relevant(subject, peer, direction);
    const wanted = { direction, identity: peer.identity, protocol, port: low };
    return lookupVerdict({ key, identity, enforced, entries }, wanted).verdict;
  }

  const slotsOf = (set: L7SetId): readonly L7Slot[] =>
    (state.sets.get(set)?.slots ?? []).flatMap((id) => state.slots.get(id) ?? []);

  function contentOf(set: L7SetId): string {
    const known = contents.get(set);
    if (known !== undefined) return known;
    const content = JSON.stringify(slotsOf(set).map(slotContent).sort());
    contents.set(set, content);
    return content;
  }

  return {
    entries: (from, to) => [...relevant(from, to, 'egress'), ...relevant(to, from, 'ingress')],
    signature: (from, to) => `${sideSignature(from, to, 'egress')}|${sideSignature(to, from, 'ingress')}`,
    slots: ({ sets }) => sets.flatMap((set) => (set === null ? [] : slotsOf(set))),
    judge(from, to, range) {
      const sides = [verdictOf(from, to, 'egress', range), verdictOf(to, from, 'ingress', range)];
      if (sides.some(({ kind }) => kind === 'deny')) return denied;
      const sets = sides.map((side) => (side.kind === 'l7' ? side.set : null));
      const [first, second] = sets.flatMap((set) => (set === null ? [] : (state.sets.get(set) ?? [])));
      if (first === undefined) return allowed;
      if (second !== undefined && !kindsAgree(first.kind, second.kind)) return denied;
      const key = JSON.stringify(sets.map((set) => (set === null ? null : contentOf(set))));
      return { state: 'rules', key, sets };
    },
  };
}

function slotContent({ kind, rules, tls }: L7Slot): string {
  return JSON.stringify([kind, rules.map(({ id }) => id).sort(), tls]);
}
