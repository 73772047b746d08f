import type { Brand } from './brand.ts';
import type { Identity } from './identity.ts';
import type { L7Kind, L7Rule } from './l7-rule.ts';
import type { SourceRef } from './source-ref.ts';

export type Direction = 'ingress' | 'egress';

/** Identity and named ports of a subject; equal keys share one subject policy. */
export type SubjectKey = Brand<string, 'SubjectKey'>;
/** Names the rules of one direction; subjects of equal rules share it. */
export type DirectionId = Brand<string, 'DirectionId'>;
export type TableId = Brand<string, 'TableId'>;
export type SlotId = Brand<string, 'SlotId'>;
export type L7SetId = Brand<string, 'L7SetId'>;
export type ClassId = Brand<string, 'ClassId'>;

/** Names again what an engine named before: for a store that kept the text. */
export const subjectKey = (text: string): SubjectKey => text as SubjectKey;
/** Like `subjectKey`. */
export const directionId = (text: string): DirectionId => text as DirectionId;
/** Like `subjectKey`. */
export const tableId = (text: string): TableId => text as TableId;
/** Like `subjectKey`. */
export const l7SetId = (text: string): L7SetId => text as L7SetId;
/** Like `subjectKey`. */
export const classId = (text: string): ClassId => text as ClassId;

/** One `toPorts[].rules` block. Its content changes in place, its id does not. */
export interface L7Slot {
  readonly id: SlotId;
  readonly direction: Direction;
  readonly kind: L7Kind;
  /** OR between them. */
  readonly rules: readonly L7Rule[];
  /** TLS that must be ended before the rules apply, or null. Only with kind `tls`. */
  readonly tls: SlotTls | null;
  readonly source: SourceRef;
  /** Digest of the content: equal digests, equal content. Places in files do not count. */
  readonly digest: string;
}

export interface SlotTls {
  /** `namespace/name` of secrets. */
  readonly terminating: string | null;
  readonly originating: string | null;
}

/** The slots that apply to one direction of a connection, OR between them. Named by its slots, never by content. */
export interface L7Set {
  readonly id: L7SetId;
  readonly direction: Direction;
  /** `tls` also where a slot needs TLS ended or a server name checked before its own rules. */
  readonly kind: L7Kind;
  /** Sorted. */
  readonly slots: readonly SlotId[];
}

export type EntryVerdict =
  | { readonly kind: 'allow' }
  | { readonly kind: 'deny' }
  | { readonly kind: 'l7'; readonly set: L7SetId };

/** One entry of a port table. */
export interface TableEntry {
  /** IANA number; 0: any protocol and any port. ICMP types stand in the port. */
  readonly protocol: number;
  readonly port: number;
  /** Leading bits of the port that count, 0 (any port) to 16. */
  readonly portPrefixLength: number;
  readonly verdict: EntryVerdict;
}

/** Verdicts by protocol and port: the longest prefix that covers a packet counts, and none denies. A value. */
export interface PortTable {
  /** Equal ids, equal entries. */
  readonly id: TableId;
  /** Sorted by protocol, port and prefix length. */
  readonly entries: readonly TableEntry[];
}

/**
 * What one direction of the subjects with the same rules says: one table for each peer, which holds all that is
 * said of it. A value: identities that come and go make another one of the same id.
 */
export interface DirectionPolicy {
  /** Equal ids, equal rules. */
  readonly id: DirectionId;
  readonly direction: Direction;
  /** The table of every peer that has none of its own. */
  readonly any: PortTable;
  /** The L7 sets that its tables lead to. */
  readonly sets: readonly L7SetId[];
  /** Visits the peers that have a table of their own, in no order. */
  forEachPeer(visit: (peer: Identity, table: PortTable) => void): void;
  tableOf(peer: Identity): PortTable;
}

/** Everything all documents together say about one subject; null: the direction is not enforced. A value. */
export interface SubjectPolicy {
  readonly key: SubjectKey;
  readonly identity: Identity;
  readonly ingress: DirectionId | null;
  readonly egress: DirectionId | null;
}

/** All connections of a class share one listener: AND of the two sides, OR of the slots within a side. */
export interface L7Class {
  readonly id: ClassId;
  readonly kind: L7Kind;
  readonly egress: L7SetId | null;
  readonly ingress: L7SetId | null;
}
