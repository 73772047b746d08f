import type { L7Class, L7Set, L7SetId } from '../types/subject-policy.ts';
import { codesMeet, type PortCode } from './port-code.ts';
import { classId, kindsAgree } from './set-registry.ts';
import type { CompiledTable } from './table-registry.ts';

/** Where a lookup gives an L7 set, for one peer. */
export interface Redirect {
  readonly code: PortCode;
  readonly set: L7Set;
}

/** The L7 sets that a peer with this table meets, with the ports where it does. */
export function redirectsOf({ codes, verdicts, sets }: CompiledTable): readonly Redirect[] {
  if (sets.length === 0) return [];
  const known = new Map(sets.map(({ set }) => [set.id, set]));
  return codes.flatMap((code, at) => {
    const verdict = verdicts[at];
    const set = verdict?.kind === 'l7' ? known.get(verdict.set) : undefined;
    return set === undefined ? [] : [{ code, set }];
  });
}

/** Pairs of sets that one connection can meet on its two sides. */
export function* meetingPairs(
  egress: readonly Redirect[],
  ingress: readonly Redirect[],
): Iterable<readonly [L7Set, L7Set]> {
  for (const out of egress) {
    for (const into of ingress) if (codesMeet(out.code, into.code)) yield [out.set, into.set];
  }
}

/** A class of two sides, or null where the two would need different proxies: such a pair is denied. */
export function makeClass(egress: L7Set | null, ingress: L7Set | null): L7Class | null {
  if (egress !== null && ingress !== null && !kindsAgree(egress.kind, ingress.kind)) return null;
  const kind = egress?.kind === 'tls' || ingress?.kind === 'tls' ? 'tls' : (egress ?? ingress)?.kind;
  if (kind === undefined) return null;
  const ids: [L7SetId | null, L7SetId | null] = [egress?.id ?? null, ingress?.id ?? null];
  return Object.freeze({ id: classId(...ids), kind, egress: ids[0], ingress: ids[1] });
}
