import type { Identity } from './identity.ts';
import type { RuleId } from './l7-rule.ts';
import type { L7Request } from './request.ts';
import type { SourceRef } from './source-ref.ts';
import type { ClassId, Direction, EntryVerdict, TableEntry } from './subject-policy.ts';

/** One end of a probed connection. */
export type PeerRef =
  | { readonly kind: 'endpoint'; readonly id: string }
  | { readonly kind: 'address'; readonly address: string }
  | { readonly kind: 'identity'; readonly identity: Identity }
  | { readonly kind: 'labels'; readonly labels: readonly string[] };

/** A new connection, with a request on it or without. */
export interface Flow {
  readonly from: PeerRef;
  readonly to: PeerRef;
  /** IANA number. */
  readonly protocol: number;
  /** Destination port; for ICMP the type. */
  readonly port: number;
  readonly request: L7Request | null;
  /** Judge only this side; null: both must agree. */
  readonly direction: Direction | null;
}

/** `redirected` only where no request is given. */
export type FlowVerdict = 'allowed' | 'denied' | 'redirected';

/** Why a document's rule did or did not select this connection. */
export interface RuleNote {
  readonly source: SourceRef;
  readonly rule: RuleId | null;
  readonly effect: 'allows' | 'denies' | 'asks-proxy' | 'matches' | 'nearest';
  /** A sentence for people. */
  readonly text: string;
}

/** One direction of the judgement. */
export interface SideExplanation {
  readonly direction: Direction;
  readonly subject: string;
  readonly enforced: boolean;
  /** The rules that put the direction in default deny; none where the agent's mode or `reserved:init` does. */
  readonly enforcedBy: readonly SourceRef[];
  /** The entry of the peer's table that decided, or null for the default. */
  readonly entry: TableEntry | null;
  readonly verdict: EntryVerdict;
  readonly notes: readonly RuleNote[];
  /** What became of it, as a sentence. */
  readonly text: string;
}

export interface Explanation {
  readonly verdict: FlowVerdict;
  /** One sentence with the deciding place. */
  readonly summary: string;
  readonly sides: readonly SideExplanation[];
  readonly classId: ClassId | null;
  /** Header changes that headerMatches make to an allowed request: the request's headers after them. */
  readonly headers: readonly (readonly [name: string, value: string])[] | null;
  /** Names, in lower case, of headers whose value may be a secret's: it is shown to nobody. */
  readonly secretHeaders: readonly string[];
}
