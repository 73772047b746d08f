import type { EntryVerdict, PortTable, TableEntry, TableId } from '../types/subject-policy.ts';
import { codePort, codePrefixLength, codeProtocol, type PortCode } from './port-code.ts';
import type { SetHandle } from './set-registry.ts';

/** A port table as compilation handles it. Two tables with the same content are the same object. */
export interface CompiledTable extends PortTable {
  readonly codes: readonly PortCode[];
  readonly verdicts: readonly EntryVerdict[];
  /** The L7 sets among the verdicts. */
  readonly sets: readonly SetHandle[];
}

/** Tables by content. */
export interface TableRegistry {
  build(): TableBuilder;
  /** Forgets tables that are not among `used`, when many have been made since the last time. */
  sweep(used: () => Iterable<CompiledTable>): void;
}

/** Entries come in ascending order of code. */
export interface TableBuilder {
  add(code: PortCode, verdict: EntryVerdict): void;
  use(set: SetHandle): void;
  finish(): CompiledTable;
}

const SWEEP_AFTER = 4096;

export function createTableRegistry(): TableRegistry {
  let known = new Map<string, CompiledTable>();
  let sweepAt = SWEEP_AFTER;

  function build(): TableBuilder {
    const codes: PortCode[] = [];
    const verdicts: EntryVerdict[] = [];
    const sets = new Set<SetHandle>();
    let id = '';
    return {
      add(code, verdict) {
        codes.push(code);
        verdicts.push(verdict);
        id += `${code}:${verdict.kind === 'l7' ? verdict.set : verdict.kind};`;
      },
      use: (set) => void sets.add(set),
      finish() {
        const before = known.get(id);
        // A set that went out of use and came back has a new handle, which must be the one that is counted.
        if (before?.verdicts.every((verdict, at) => verdict === verdicts[at]) === true) return before;
        const table = makeTable(id as TableId, codes, verdicts, [...sets]);
        known.set(id, table);
        return table;
      },
    };
  }

  return {
    build,
    sweep(used) {
      if (known.size < sweepAt) return;
      known = new Map();
      for (const table of used()) known.set(table.id, table);
      sweepAt = SWEEP_AFTER + 2 * known.size;
    },
  };
}

function makeTable(
  id: TableId,
  codes: readonly PortCode[],
  verdicts: readonly EntryVerdict[],
  sets: readonly SetHandle[],
): CompiledTable {
  let entries: readonly TableEntry[] | undefined;
  return Object.freeze({
    id,
    codes,
    verdicts,
    sets,
    get entries() {
      entries ??= Object.freeze(codes.map((code, at) => tableEntry(code, verdicts[at] ?? { kind: 'deny' })));
      return entries;
    },
  });
}

function tableEntry(code: PortCode, verdict: EntryVerdict): TableEntry {
  return Object.freeze({
    protocol: codeProtocol(code),
    port: codePort(code),
    portPrefixLength: codePrefixLength(code),
    verdict,
  });
}
