import {
  type Direction,
  type DirectionPolicy,
  type EngineState,
  type EntryVerdict,
  kindsAgree,
  type L7SetId,
  type L7Slot,
  lookupVerdict,
  type PortTable,
  type TableEntry,
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
  entries(from: PartyState, to: PartyState): readonly TableEntry[];
  /** Equal signatures in two views, equal judgement of every port. */
  signature(from: PartyState, to: PartyState): string;
  /** Judges the first port of a range. */
  judge(from: PartyState, to: PartyState, range: PortRange): Judgement;
  slots(judgement: Judgement): readonly L7Slot[];
}

const allowed: Judgement = { state: 'allowed', key: 'allowed', sets: [null, null] };
const denied: Judgement = { state: 'denied', key: 'denied', sets: [] };

export function createPolicyView(state: EngineState): PolicyView {
  const signatures = new Map<PortTable, string>();
  const contents = new Map<L7SetId, string>();

  function policyOf({ subject }: PartyState, direction: Direction): DirectionPolicy | null {
    const id = subject === null ? null : (state.subjects.get(subject)?.[direction] ?? null);
    return id === null ? null : (state.directions.get(id) ?? null);
  }

  function tableOf(subject: PartyState, peer: PartyState, direction: Direction): PortTable | null {
    return policyOf(subject, direction)?.tableOf(peer.identity) ?? null;
  }

  function sideSignature(subject: PartyState, peer: PartyState, direction: Direction): string {
    const table = tableOf(subject, peer, direction);
    if (table === null) return 'free';
    const known = signatures.get(table);
    if (known !== undefined) return known;
    const signature = table.entries
      .map(({ protocol, port, portPrefixLength, verdict }) => {
        const said = verdict.kind === 'l7' ? contentOf(verdict.set) : verdict.kind;
        return `${protocol} ${port} ${portPrefixLength} ${said}`;
      })
      .join();
    signatures.set(table, signature);
    return signature;
  }

  function verdictOf(
    subject: PartyState,
    peer: PartyState,
    direction: Direction,
    { protocol, low }: PortRange,
  ): EntryVerdict {
    const wanted = { peer: peer.identity, protocol, port: low };
    return lookupVerdict(policyOf(subject, direction), wanted).verdict;
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
    entries: (from, to) =>
      [tableOf(from, to, 'egress'), tableOf(to, from, 'ingress')].flatMap((table) => table?.entries ?? []),
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
