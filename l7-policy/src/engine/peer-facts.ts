import type { FqdnMatch, LabelSelector, ServiceMatch } from '../model/policy.ts';
import type { Prefix, PrefixText } from '../net/prefix.ts';
import type { IdentityRow } from './identity-table.ts';

/** A named port of a peer: it has this number under this name. */
export interface NamedPortCondition {
  readonly name: string;
  readonly protocol: number;
  readonly port: number;
}

/** CIDR groups as a peer names them. */
export type GroupMatch = { readonly name: string } | { readonly labels: LabelSelector };

/** What selectors ask beside labels. */
export interface PeerFacts {
  /** Whether a prefix lies in the group of that name, or in groups whose labels together meet the selector. */
  inGroups(group: GroupMatch, prefix: Prefix): boolean;
  /** Whether a name of this kind has resolved to the address (a prefix of full length). */
  resolvesTo(match: FqdnMatch, address: PrefixText): boolean;
  /** Whether the identity stands behind the service. */
  servesAs(service: ServiceMatch, row: IdentityRow): boolean;
  hasNamedPort(index: number, condition: NamedPortCondition): boolean;
}
