import type { L7Class, L7SetId } from '../types/subject-policy.ts';
import { type PortTable, verdictAllow, verdictDeny } from './compile-table.ts';
import { codeContains, codesMeet, type PortCode } from './port-code.ts';
import { classId, firstSetNumber, kindsAgree, type SetRegistry } from './set-registry.ts';

/** Where a lookup gives an L7 set, for one peer. */
export interface Redirect {
  readonly code: PortCode;
  /** Number in the set registry. */
  readonly set: number;
}

/** The L7 sets that a peer with this table meets, with the ports where it does. */
export function redirectsOf(own: PortTable, any: PortTable): readonly Redirect[] {
  const codes = [...new Set([...own.codes, ...any.codes])];
  return codes.flatMap((code) => {
    const first = lookup(own, code);
    const second = lookup(any, code);
    if (first === verdictDeny || second === verdictDeny || first === verdictAllow || second === verdictAllow)
      return [];
    const set = first >= firstSetNumber ? first : second;
    return set >= firstSetNumber ? [{ code, set }] : [];
  });
}

function lookup(table: PortTable, code: PortCode): number {
  let verdict = 0;
  table.codes.forEach((candidate, at) => {
    if (codeContains(candidate, code)) verdict = table.verdicts[at] ?? 0;
  });
  return verdict;
}

/** Pairs of sets that one connection can meet on its two sides. */
export function* meetingPairs(
  egress: readonly Redirect[],
  ingress: readonly Redirect[],
): Iterable<readonly [number, number]> {
  for (const out of egress) {
    for (const into of ingress) if (codesMeet(out.code, into.code)) yield [out.set, into.set];
  }
}

/** A class of two sides, or null where the two would need different proxies: such a pair is denied. */
export function makeClass(
  egress: number | null,
  ingress: number | null,
  sets: Pick<SetRegistry, 'at'>,
): L7Class | null {
  const out = egress === null ? null : sets.at(egress).set;
  const into = ingress === null ? null : sets.at(ingress).set;
  if (out !== null && into !== null && !kindsAgree(out.kind, into.kind)) return null;
  const kind = out?.kind === 'tls' || into?.kind === 'tls' ? 'tls' : (out ?? into)?.kind;
  if (kind === undefined) return null;
  const ids: [L7SetId | null, L7SetId | null] = [out?.id ?? null, into?.id ?? null];
  return Object.freeze({ id: classId(...ids), kind, egress: ids[0], ingress: ids[1] });
}
