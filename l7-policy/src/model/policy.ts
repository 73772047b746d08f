import type { Prefix } from '../net/prefix.ts';
import type { Brand } from '../types/brand.ts';
import type { L7Kind, L7Rule, MismatchAction, RuleId } from '../types/l7-rule.ts';
import type { SourceRef } from '../types/source-ref.ts';
import type { Direction, SlotId, SlotTls } from '../types/subject-policy.ts';

/** What a document is called: its kind, namespace and name. One document of a name is in force at a time. */
export type DocumentId = Brand<string, 'DocumentId'>;

/** A condition on one label key. `source` 'any' takes labels of every source. */
export type LabelRequirement =
  | { readonly kind: 'in'; readonly source: string; readonly key: string; readonly values: readonly string[] }
  | {
      readonly kind: 'not-in';
      readonly source: string;
      readonly key: string;
      readonly values: readonly string[];
    }
  | { readonly kind: 'exists'; readonly source: string; readonly key: string }
  | { readonly kind: 'absent'; readonly source: string; readonly key: string };

/** All must hold; none at all takes every identity. */
export interface LabelSelector {
  readonly requirements: readonly LabelRequirement[];
}

/** What a rule says about the other end; identities are found for each by the selector cache. */
export type Peer =
  | { readonly kind: 'any' }
  | { readonly kind: 'labels'; readonly selector: LabelSelector }
  | { readonly kind: 'nodes'; readonly selector: LabelSelector }
  | { readonly kind: 'cidr'; readonly prefix: Prefix; readonly except: readonly Prefix[] }
  | {
      readonly kind: 'cidr-group';
      readonly group: { readonly name: string } | { readonly labels: LabelSelector };
      readonly except: readonly Prefix[];
    }
  | { readonly kind: 'fqdn'; readonly match: FqdnMatch }
  | { readonly kind: 'service'; readonly service: ServiceMatch };

export type FqdnMatch =
  | { readonly kind: 'name'; readonly name: string }
  | { readonly kind: 'pattern'; readonly pattern: string; readonly regex: string };

/** `namespace` null: of any. */
export type ServiceMatch =
  | { readonly kind: 'name'; readonly namespace: string | null; readonly name: string }
  | { readonly kind: 'labels'; readonly namespace: string | null; readonly selector: LabelSelector };

/** `protocols` are IANA numbers. Ports are inclusive; 0..65535 is every port. */
export type PortMatch =
  | { readonly kind: 'all' }
  | {
      readonly kind: 'range';
      readonly protocols: readonly number[];
      readonly low: number;
      readonly high: number;
    }
  | { readonly kind: 'named'; readonly protocols: readonly number[]; readonly name: string };

/** A headerMatches entry whose secret is not looked up yet. */
export interface HeaderMatchSpec {
  readonly name: string;
  readonly value: string;
  /** `namespace/name` or `namespace/name/key`. */
  readonly secret: string | null;
  readonly mismatch: MismatchAction;
}

/** Rules that need secrets are completed when the slot is published. */
export interface PendingHttpRule {
  readonly kind: 'http';
  readonly id: RuleId;
  readonly method: string | null;
  readonly path: string | null;
  readonly host: string | null;
  readonly headers: readonly { readonly name: string; readonly value: string | null }[];
  readonly headerMatches: readonly HeaderMatchSpec[];
}

export type RuleSpec = PendingHttpRule | Exclude<L7Rule, { kind: 'http' }>;

export interface RuleAt {
  readonly rule: RuleSpec;
  readonly source: SourceRef;
}

/** One `toPorts[].rules` block, before secrets are put in. */
export interface SlotSpec {
  readonly id: SlotId;
  readonly direction: Direction;
  readonly kind: L7Kind;
  readonly rules: readonly RuleAt[];
  readonly tls: SlotTls | null;
  readonly source: SourceRef;
}

/** One pairing of peers with ports and what it does to them. */
export interface Grant {
  readonly direction: Direction;
  readonly effect: 'allow' | 'deny';
  /** Empty: selects nobody. */
  readonly peers: readonly Peer[];
  readonly ports: readonly PortMatch[];
  readonly slot: SlotSpec | null;
  readonly source: SourceRef;
  /** Equal keys, equal effect on L3 and L4; a slot counts by its name. */
  readonly key: string;
}

/** What one `spec` says about the subjects it selects. */
export interface Rule {
  readonly subject: LabelSelector;
  /** Binds nodes, not workloads. */
  readonly node: boolean;
  readonly ingress: SectionEffect;
  readonly egress: SectionEffect;
  readonly grants: readonly Grant[];
  readonly source: SourceRef;
  /** Equal keys, equal effect on L3 and L4; content of slots and places in files do not count. */
  readonly key: string;
}

/** `none`: the rule says nothing about the direction. */
export type SectionEffect = 'none' | 'default-deny' | 'default-allow';

export interface PolicyDocument {
  readonly kind: 'policy';
  readonly id: DocumentId;
  readonly rules: readonly Rule[];
  readonly source: SourceRef;
}

export interface CidrGroupDocument {
  readonly kind: 'cidr-group';
  readonly id: DocumentId;
  readonly name: string;
  readonly labels: readonly string[];
  readonly prefixes: readonly Prefix[];
  readonly source: SourceRef;
}

export type Document = PolicyDocument | CidrGroupDocument;
