import type { L7Kind } from '../types/l7-rule.ts';
import type { Direction, EntryVerdict } from '../types/subject-policy.ts';
import { codeContains, type PortCode } from './port-code.ts';
import { kindsAgree, type SetHandle, type SetRegistry, type SlotHandle } from './set-registry.ts';
import type { CompiledTable, TableRegistry } from './table-registry.ts';

/** What tables are made with. */
export interface CompileParts {
  readonly sets: SetRegistry;
  readonly tables: TableRegistry;
}

/** What one grant adds to peers it selects: a verdict over some ports. */
export interface Contribution {
  readonly effect: 'allow' | 'deny' | 'l7';
  readonly codes: readonly PortCode[];
  readonly slot: SlotHandle | null;
}

const verdictDeny: EntryVerdict = Object.freeze({ kind: 'deny' });
const verdictAllow: EntryVerdict = Object.freeze({ kind: 'allow' });

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
 * Compiles what is said of one identity, by rules that name it (`own`) and by rules for any peer (`any`; the table
 * of any peer is the one of no `own`), for the kernel's lookup: the longest prefix decides.
 *
 * Each entry says what all rules together say of the packets it covers, in this order: (1) a deny denies; (2) an
 * allow without L7 allows; (3) L7 rules ask for the proxy, with their slots together; (4) where nobody has spoken
 * there is no entry. An entry that repeats the next wider one is not written.
 */
export function compileTable(
  own: readonly Contribution[],
  any: readonly Contribution[],
  direction: Direction,
  { sets, tables }: CompileParts,
): CompiledTable {
  const builder = tables.build();
  walk(own, any, (node, inherited) => {
    const verdict = verdictOf(node, direction, sets, builder.use);
    if (verdict === null || verdict === inherited) return inherited;
    builder.add(node.code, verdict);
    return verdict;
  });
  return builder.finish();
}

function verdictOf(
  { own, any }: Node,
  direction: Direction,
  sets: SetRegistry,
  use: (set: SetHandle) => void,
): EntryVerdict | null {
  if (own.deny || any.deny) return verdictDeny;
  if (own.allow || any.allow) return verdictAllow;
  const slots = agreeing([...own.slots, ...any.slots]);
  if (slots.length === 0) return null;
  const handle = sets.intern(direction, slots);
  use(handle);
  return handle.verdict;
}

/** Which proxy has a connection that rules of several kinds ask for, the first of these; as in Cilium. */
const precedence: readonly L7Kind[] = ['http', 'kafka', 'generic', 'tls', 'dns', 'listener'];

/** Slots of one kind: others would need another proxy. */
function agreeing(slots: readonly SlotHandle[]): readonly SlotHandle[] {
  const kind = precedence.find((wanted) => slots.some((slot) => slot.kind === wanted));
  return kind === undefined ? [] : slots.filter((slot) => kindsAgree(slot.kind, kind));
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
