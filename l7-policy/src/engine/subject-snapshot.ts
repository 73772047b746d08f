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
import type { PortTable } from './compile-table.ts';
import type { DirectionPolicy } from './direction-policy.ts';
import { codePort, codePrefixLength, codeProtocol, type PortCode } from './port-code.ts';
import { forEachBit } from './words.ts';

/** Writes a table out as map entries of one identity. */
export function tableEntries(table: PortTable, direction: Direction, identity: Identity): PolicyMapEntry[] {
  const { codes, verdicts } = table;
  const entries: PolicyMapEntry[] = [];
  for (let at = 0; at < codes.length; at++) {
    const code = codes[at];
    const verdict = verdicts[at];
    if (code !== undefined && verdict !== undefined)
      entries.push(codeEntry(code, verdict, direction, identity));
  }
  return entries;
}

/** One entry of a table. */
export function codeEntry(
  code: PortCode,
  verdict: EntryVerdict,
  direction: Direction,
  identity: Identity,
): PolicyMapEntry {
  return {
    direction,
    identity,
    protocol: codeProtocol(code),
    port: codePort(code),
    portPrefixLength: codePrefixLength(code),
    verdict,
  };
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
): SubjectPolicy {
  const enforced: Enforced = Object.freeze({
    ingress: directions.ingress.enforced,
    egress: directions.egress.enforced,
  });
  return Object.freeze({
    key,
    identity,
    enforced,
    get entries() {
      return [
        ...directionEntries('ingress', directions.ingress, numbers),
        ...directionEntries('egress', directions.egress, numbers),
      ];
    },
  });
}

function directionEntries(
  direction: Direction,
  policy: DirectionPolicy,
  numbers: readonly Identity[],
): PolicyMapEntry[] {
  if (!policy.enforced) return [];
  const tables: (readonly [Identity, PortTable])[] = [[anyIdentity, policy.anyTable]];
  for (const { table, members } of policy.groups) {
    if (table.codes.length === 0) continue;
    forEachBit(members, (index) => {
      const identity = numbers[index];
      if (identity !== undefined) tables.push([identity, table]);
    });
  }
  tables.sort(([a], [b]) => a - b);
  return tables.flatMap(([identity, table]) => tableEntries(table, direction, identity));
}
