import type { Identity } from '../types/identity.ts';
import type { DirectionPolicy, EntryVerdict, TableEntry } from '../types/subject-policy.ts';

export interface Lookup {
  /** null: the direction is not enforced, so everything is allowed, or no entry covers the packet. */
  readonly entry: TableEntry | null;
  readonly verdict: EntryVerdict;
}

export interface LookupKey {
  readonly peer: Identity;
  /** IANA number. */
  readonly protocol: number;
  /** Destination port, or ICMP type. */
  readonly port: number;
}

const allow: EntryVerdict = Object.freeze({ kind: 'allow' });
const deny: EntryVerdict = Object.freeze({ kind: 'deny' });

/**
 * What the kernel finds (`judge_side` of bpf/lib/policy.h). In this order: (1) a direction that is not enforced
 * (null) allows; (2) the peer's own table counts, else that of any peer, never both; (3) in it the longest prefix
 * that covers the packet decides; (4) none denies.
 */
export function lookupVerdict(policy: DirectionPolicy | null, { peer, protocol, port }: LookupKey): Lookup {
  if (policy === null) return { entry: null, verdict: allow };
  let best: TableEntry | null = null;
  // Wider entries come first: the last one that covers is the longest.
  for (const entry of policy.tableOf(peer).entries) if (covers(entry, protocol, port)) best = entry;
  return { entry: best, verdict: best?.verdict ?? deny };
}

function covers(entry: TableEntry, protocol: number, port: number): boolean {
  if (entry.protocol === 0) return true;
  if (entry.protocol !== protocol) return false;
  const ignored = 16 - entry.portPrefixLength;
  return entry.port >>> ignored === port >>> ignored;
}
