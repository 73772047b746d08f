import {
  lengthsOf,
  type PolicyVerdict,
  type SetNumber,
  type TableKey,
  type TableNumber,
  type TableRef,
  tableNumber,
} from '@weir/bpf';
import type { L7SetId, PortTable } from '@weir/l7-policy';
import type { Kernel } from './kernel.ts';
import { type MapUsage, mapRoom } from './map-room.ts';

/** Port tables in the kernel. A table is written once, whoever uses it; its number is not given twice. */
export interface PolicyTables {
  /** The table in the kernel, with so many users more. Throws when it cannot be written; then nothing has changed. */
  take(table: PortTable, users: number): TableRef;
  /** A table that is in use. */
  of(table: PortTable): TableRef;
  /** Whether the table stands in the kernel under that number. */
  is(table: PortTable, number: TableNumber): boolean;
  /** Counts a user that an earlier process wrote. */
  adopt(number: TableNumber): void;
  /** So many users less. */
  giveBack(number: TableNumber, users: number): void;
  /** Deletes what nobody uses. */
  sweep(): void;
  /** L7 sets that tables in use lead to. */
  sets(): ReadonlySet<SetNumber>;
  usage(): MapUsage;
}

type Entry = readonly [TableKey, PolicyVerdict];

interface KernelTable {
  readonly ref: TableRef;
  readonly content: string;
  readonly entries: readonly Entry[];
  users: number;
}

/** Reads the tables that stand in the kernel; `numberOf` gives the number of an L7 set. */
export function openPolicyTables(
  map: Kernel['maps']['policyTables'],
  numberOf: (set: L7SetId) => SetNumber,
): PolicyTables {
  const byNumber = new Map<TableNumber, KernelTable>();
  const byContent = new Map<string, KernelTable>();
  const contents = new WeakMap<PortTable, string>();
  const known = new WeakMap<PortTable, KernelTable>();
  for (const [number, entries] of readTables(map)) hold(number, entries);
  const found = [...byNumber.values()];
  const room = mapRoom(
    map,
    found.reduce((sum, { entries }) => sum + entries.length, 0),
  );
  let next = found.reduce((highest, { ref }) => Math.max(highest, ref.table), 0) + 1;

  function hold(table: TableNumber, entries: readonly Entry[]): KernelTable {
    const held: KernelTable = {
      ref: Object.freeze({ table, lengths: lengthsOf(entries.map(([key]) => key)) }),
      content: contentOf(entries.map(([key, verdict]) => ({ ...key, verdict }))),
      entries,
      users: 0,
    };
    byNumber.set(table, held);
    byContent.set(held.content, held);
    return held;
  }

  function kernelVerdict(verdict: PortTable['entries'][number]['verdict']): PolicyVerdict {
    return verdict.kind === 'l7' ? { kind: 'l7', set: numberOf(verdict.set) } : verdict;
  }

  function contentOfTable(table: PortTable): string {
    let content = contents.get(table);
    if (content === undefined) {
      content = contentOf(
        table.entries.map((entry) => ({ ...entry, verdict: kernelVerdict(entry.verdict) })),
      );
      contents.set(table, content);
    }
    return content;
  }

  function find(table: PortTable): KernelTable | undefined {
    const before = known.get(table);
    if (before !== undefined && byNumber.get(before.ref.table) === before) return before;
    const held = byContent.get(contentOfTable(table));
    if (held !== undefined) known.set(table, held);
    return held;
  }

  return {
    take(table, users) {
      const there = find(table);
      if (there !== undefined) {
        there.users += users;
        return there.ref;
      }
      const number = tableNumber(next);
      const entries = table.entries.map(({ protocol, port, portPrefixLength, verdict }): Entry => {
        return [{ table: number, protocol, port, portPrefixLength }, kernelVerdict(verdict)];
      });
      room.claim(entries.length);
      try {
        map.setBatch(entries);
      } catch (error) {
        map.deleteBatch(entries.map(([key]) => key));
        room.free(entries.length);
        throw error;
      }
      next += 1;
      const held = hold(number, entries);
      held.users = users;
      return held.ref;
    },
    of(table) {
      const held = find(table);
      if (held === undefined) throw new Error(`port table ${table.id} is not in the kernel: it is in use`);
      return held.ref;
    },
    is: (table, number) => find(table)?.ref.table === number,
    adopt(number) {
      const held = byNumber.get(number);
      if (held !== undefined) held.users += 1;
    },
    giveBack(number, users) {
      const held = byNumber.get(number);
      if (held !== undefined) held.users -= users;
    },
    sweep() {
      const unused = [...byNumber.values()].filter(({ users }) => users === 0);
      map.deleteBatch(unused.flatMap(({ entries }) => entries.map(([key]) => key)));
      for (const { ref, content, entries } of unused) {
        byNumber.delete(ref.table);
        if (byContent.get(content)?.ref === ref) byContent.delete(content);
        room.free(entries.length);
      }
    },
    sets() {
      const sets = new Set<SetNumber>();
      for (const { users, entries } of byNumber.values()) {
        if (users === 0) continue;
        for (const [, verdict] of entries) if (verdict.kind === 'l7') sets.add(verdict.set);
      }
      return sets;
    },
    usage: room.usage,
  };
}

function readTables(map: Kernel['maps']['policyTables']): ReadonlyMap<TableNumber, readonly Entry[]> {
  const tables = new Map<TableNumber, Entry[]>();
  for (const entry of map.entries()) {
    const list = tables.get(entry[0].table);
    if (list === undefined) tables.set(entry[0].table, [entry]);
    else list.push(entry);
  }
  return tables;
}

/** A text that two tables share exactly when they say the same. */
function contentOf(
  entries: readonly (Omit<TableKey, 'table'> & { readonly verdict: PolicyVerdict })[],
): string {
  return entries
    .map(({ protocol, port, portPrefixLength, verdict }) => {
      const said = verdict.kind === 'l7' ? verdict.set : verdict.kind;
      return `${protocol} ${port}/${portPrefixLength} ${said}`;
    })
    .sort()
    .join();
}
