import { anyIdentity, type Identity } from '../types/identity.ts';
import type { Direction, EntryVerdict, PolicyMapEntry, SubjectPolicy } from '../types/subject-policy.ts';

export interface Lookup {
  /** null: no entry, and the direction is not enforced, so everything is allowed. */
  readonly entry: PolicyMapEntry | null;
  readonly verdict: EntryVerdict;
}

export interface LookupKey {
  readonly direction: Direction;
  /** The peer. */
  readonly identity: Identity;
  /** IANA number. */
  readonly protocol: number;
  /** Destination port, or ICMP type. */
  readonly port: number;
}

const allow: EntryVerdict = Object.freeze({ kind: 'allow' });
const deny: EntryVerdict = Object.freeze({ kind: 'deny' });

/**
 * What the kernel finds: the longest prefix under the peer's identity and the longest under any peer. Deny wins,
 * then allow, then the L7 set found under the peer's own identity. Nothing found is denied where the direction
 * is enforced.
 */
export function lookupVerdict(policy: SubjectPolicy, key: LookupKey): Lookup {
  if (!policy.enforced[key.direction]) return { entry: null, verdict: allow };
  // Read once: they are written out on each reading.
  const { entries } = policy;
  const own = longestPrefix(entries, key, key.identity);
  const any = longestPrefix(entries, key, anyIdentity);
  for (const kind of ['deny', 'allow', 'l7'] as const) {
    const entry = own?.verdict.kind === kind ? own : any?.verdict.kind === kind ? any : null;
    if (entry !== null) return { entry, verdict: entry.verdict };
  }
  return { entry: null, verdict: deny };
}

function longestPrefix(
  entries: readonly PolicyMapEntry[],
  { direction, protocol, port }: LookupKey,
  identity: Identity,
): PolicyMapEntry | null {
  let best: PolicyMapEntry | null = null;
  let bestLength = -1;
  for (const entry of entries) {
    if (entry.identity !== identity || entry.direction !== direction) continue;
    const length = entry.protocol === 0 ? 0 : 1 + entry.portPrefixLength;
    if (length <= bestLength || !covers(entry, protocol, port)) continue;
    best = entry;
    bestLength = length;
  }
  return best;
}

function covers(entry: PolicyMapEntry, protocol: number, port: number): boolean {
  if (entry.protocol === 0) return true;
  if (entry.protocol !== protocol) return false;
  const ignored = 16 - entry.portPrefixLength;
  return entry.port >>> ignored === port >>> ignored;
}
