import type { Direction, EntryVerdict } from '../types/subject-policy.ts';
import { codeContains, type PortCode } from './port-code.ts';
import { kindsAgree, type SetHandle, type SetRegistry, type SlotHandle } from './set-registry.ts';

/** What one grant adds to peers it selects: a verdict over some ports. */
export interface Contribution {
  readonly effect: 'allow' | 'deny' | 'l7';
  readonly codes: readonly PortCode[];
  readonly slot: SlotHandle | null;
}

const verdictDeny: EntryVerdict = Object.freeze({ kind: 'deny' });
const verdictAllow: EntryVerdict = Object.freeze({ kind: 'allow' });

/** Entries of one identity (or of any peer), sorted by code. A value; equal verdicts are the same object. */
export interface PortTable {
  readonly codes: readonly PortCode[];
  readonly verdicts: readonly EntryVerdict[];
  /** The L7 sets among the verdicts. */
  readonly sets: readonly SetHandle[];
}

export const emptyTable: PortTable = Object.freeze({ codes: [], verdicts: [], sets: [] });

export function sameTable(a: PortTable, b: PortTable): boolean {
  if (a === b) return true;
  if (a.codes.length !== b.codes.length) return false;
  for (let i = 0; i < a.codes.length; i++) {
    if (a.codes[i] !== b.codes[i] || a.verdicts[i] !== b.verdicts[i]) return false;
  }
  return true;
}

/** What grants say at one code: themselves and everything that contains it. */
interface Said {
  deny: boolean;
  allow: boolean;
  /** The more specific first. */
  slots: readonly SlotHandle[];
}

interface Node {
  readonly code: PortCode;
  readonly own: Said;
  readonly any: Said;
  /** What a lookup with this identity gives here, from what has been written so far; null: nothing. */
  written: EntryVerdict | null;
}

const silent: Said = Object.freeze({ deny: false, allow: false, slots: Object.freeze([]) });

/**
 * Compiles what is said of one identity (`own`) for the kernel's lookup, which takes the longest prefix under the
 * identity and the longest under any peer, and joins the two: deny wins, then allow, then the identity's own L7.
 *
 * In order: (1) an identity needs entries only where it is named itself; (2) where any peer is denied, nothing
 * else can matter; (3) where any peer is allowed, only a deny of its own does; (4) elsewhere the entry must say
 * what both together say, so an L7 entry holds the slots of any peer as well. An entry that repeats what the
 * next wider one of the same identity gives is not written.
 */
export function compileTable(
  own: readonly Contribution[],
  any: readonly Contribution[],
  direction: Direction,
  sets: SetRegistry,
): PortTable {
  const codes: PortCode[] = [];
  const verdicts: EntryVerdict[] = [];
  const used = new Set<SetHandle>();
  const setVerdict = (slots: readonly SlotHandle[]): EntryVerdict => {
    const handle = sets.intern(direction, slots);
    used.add(handle);
    return handle.verdict;
  };
  walk(own, any, (node, inherited) => {
    const wanted = wantedVerdict(node, setVerdict, inherited);
    if (wanted === inherited || wanted === null) return inherited;
    codes.push(node.code);
    verdicts.push(wanted);
    return wanted;
  });
  return codes.length === 0 ? emptyTable : { codes, verdicts, sets: [...used] };
}

/** The table of any peer, which the others are compiled against. */
export function compileAnyTable(
  any: readonly Contribution[],
  direction: Direction,
  sets: SetRegistry,
): PortTable {
  return compileTable(any, [], direction, sets);
}

function wantedVerdict(
  { own, any }: Node,
  setVerdict: (slots: readonly SlotHandle[]) => EntryVerdict,
  inherited: EntryVerdict | null,
): EntryVerdict | null {
  if (any.deny) return inherited;
  if (own.deny) return verdictDeny;
  if (any.allow) return inherited;
  if (own.allow) return verdictAllow;
  if (own.slots.length === 0) return inherited;
  return setVerdict(agreeing([...own.slots, ...any.slots]));
}

/** Slots of one kind: that of the identity's own, most specific slot. Others would need another proxy. */
function agreeing(slots: readonly SlotHandle[]): readonly SlotHandle[] {
  const [first] = slots;
  return first === undefined ? [] : slots.filter((slot) => kindsAgree(slot.kind, first.kind));
}

/** Visits all codes so that wider ones come first; `visit` gives the lookup's result for what lies inside. */
function walk(
  own: readonly Contribution[],
  any: readonly Contribution[],
  visit: (node: Node, inherited: EntryVerdict | null) => EntryVerdict | null,
): void {
  const spoken = new Map<PortCode, { own: Contribution[]; any: Contribution[] }>();
  const collect = (contributions: readonly Contribution[], side: 'own' | 'any') => {
    for (const contribution of contributions) {
      for (const code of contribution.codes) {
        let at = spoken.get(code);
        if (at === undefined) {
          at = { own: [], any: [] };
          spoken.set(code, at);
        }
        at[side].push(contribution);
      }
    }
  };
  collect(own, 'own');
  collect(any, 'any');
  const stack: Node[] = [];
  for (const code of [...spoken.keys()].sort((a, b) => a - b)) {
    let parent = stack.at(-1);
    while (parent !== undefined && !codeContains(parent.code, code)) {
      stack.pop();
      parent = stack.at(-1);
    }
    const at = spoken.get(code) ?? { own: [], any: [] };
    const node: Node = {
      code,
      own: said(parent?.own ?? silent, at.own),
      any: said(parent?.any ?? silent, at.any),
      written: null,
    };
    node.written = visit(node, parent?.written ?? null);
    stack.push(node);
  }
}

function said(wider: Said, here: readonly Contribution[]): Said {
  if (here.length === 0) return wider;
  let { deny, allow } = wider;
  const slots: SlotHandle[] = [];
  for (const { effect, slot } of here) {
    if (effect === 'deny') deny = true;
    else if (effect === 'allow') allow = true;
    else if (slot !== null) slots.push(slot);
  }
  slots.sort((a, b) => (a.id < b.id ? -1 : 1));
  return { deny, allow, slots: slots.length === 0 ? wider.slots : [...slots, ...wider.slots] };
}
