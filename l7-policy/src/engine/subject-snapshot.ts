import type { Identity } from '../types/identity.ts';
import { anyIdentity } from '../types/identity.ts';
import type {
  Direction,
  Enforced,
  EntryVerdict,
  PolicyMapEntry,
  SubjectKey,
  SubjectPolicy,
} from '../types/subject-policy.ts';
import { type PortTable, verdictAllow, verdictDeny } from './compile-table.ts';
import type { DirectionPolicy } from './direction-policy.ts';
import { codePort, codePrefixLength, codeProtocol } from './port-code.ts';
import type { SetRegistry } from './set-registry.ts';
import { forEachBit } from './words.ts';

const allow: EntryVerdict = Object.freeze({ kind: 'allow' });
const deny: EntryVerdict = Object.freeze({ kind: 'deny' });

/** Writes a table out as map entries of one identity. */
export function tableEntries(
  table: PortTable,
  direction: Direction,
  identity: Identity,
  sets: Pick<SetRegistry, 'at'>,
): PolicyMapEntry[] {
  return table.codes.map((code, at) => ({
    direction,
    identity,
    protocol: codeProtocol(code),
    port: codePort(code),
    portPrefixLength: codePrefixLength(code),
    verdict: entryVerdict(table.verdicts[at] ?? verdictDeny, sets),
  }));
}

/** The verdict that a number in a table stands for. */
export function entryVerdict(verdict: number, sets: Pick<SetRegistry, 'at'>): EntryVerdict {
  if (verdict === verdictAllow) return allow;
  if (verdict === verdictDeny) return deny;
  return { kind: 'l7', set: sets.at(verdict).set.id };
}

/**
 * A subject policy as a value. Its entries are written out when they are read, in order of direction, identity,
 * protocol, port and prefix length; in between it holds only the groups.
 */
export function createSubjectPolicy(
  key: SubjectKey,
  identity: Identity,
  directions: { readonly ingress: DirectionPolicy; readonly egress: DirectionPolicy },
  numbers: readonly Identity[],
  sets: SetRegistry,
): SubjectPolicy {
  const enforced: Enforced = Object.freeze({
    ingress: directions.ingress.enforced,
    egress: directions.egress.enforced,
  });
  // Numbers of sets are forgotten with the sets: the value keeps its own.
  const names = new Map<number, EntryVerdict>();
  for (const policy of [directions.ingress, directions.egress]) {
    for (const table of [policy.anyTable, ...[...policy.groups.values()].map((group) => group.table)]) {
      for (const verdict of table.verdicts) {
        if (!names.has(verdict)) names.set(verdict, entryVerdict(verdict, sets));
      }
    }
  }
  return Object.freeze({
    key,
    identity,
    enforced,
    get entries() {
      return [
        ...directionEntries('ingress', directions.ingress, numbers, names),
        ...directionEntries('egress', directions.egress, numbers, names),
      ];
    },
  });
}

function directionEntries(
  direction: Direction,
  policy: DirectionPolicy,
  numbers: readonly Identity[],
  names: ReadonlyMap<number, EntryVerdict>,
): PolicyMapEntry[] {
  if (!policy.enforced) return [];
  const tables: (readonly [Identity, PortTable])[] = [[anyIdentity, policy.anyTable]];
  for (const { table, members } of policy.groups.values()) {
    forEachBit(members, (index) => {
      const identity = numbers[index];
      if (identity !== undefined) tables.push([identity, table]);
    });
  }
  tables.sort(([a], [b]) => a - b);
  return tables.flatMap(([identity, table]) =>
    table.codes.map((code, at) => ({
      direction,
      identity,
      protocol: codeProtocol(code),
      port: codePort(code),
      portPrefixLength: codePrefixLength(code),
      verdict: names.get(table.verdicts[at] ?? verdictDeny) ?? deny,
    })),
  );
}

/** How many entries a direction writes. */
export function countEntries(policy: DirectionPolicy): number {
  if (!policy.enforced) return 0;
  let count = policy.anyTable.codes.length;
  for (const { table, members } of policy.groups.values()) {
    let size = 0;
    forEachBit(members, () => {
      size += 1;
    });
    count += size * table.codes.length;
  }
  return count;
}
