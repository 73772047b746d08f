import type { EngineState, EngineUpdate } from './delta.ts';
import type { Explanation, Flow } from './explanation.ts';
import type { EngineChange, Labels } from './fact.ts';
import type { Identity } from './identity.ts';
import type { RuleId } from './l7-rule.ts';
import type { Problem } from './problem.ts';
import type { SourceRef } from './source-ref.ts';
import type { L7Slot } from './subject-policy.ts';

/** Gives label sets their numbers. A cluster store can stand behind it. */
export interface IdentityAllocator {
  /** The number of a label set; the same set gets the same number. Labels are sorted and filtered. */
  allocate(labels: Labels): Identity;
  /** Nobody on this node uses the set any more. */
  release(identity: Identity): void;
}

export interface EngineOptions {
  /** `default`: only selected endpoints are in default deny. */
  readonly enforcement: 'default' | 'always' | 'never';
  /** Name of this cluster, put into peers' and subjects' labels by Kubernetes. */
  readonly clusterName: string;
  /** fromNodes and toNodes may be used. */
  readonly nodeSelectorLabels: boolean;
  /**
   * Names the code that serves Kafka rules. Other code makes other slots, and so other classes: a connection of the
   * old code would not meet new rules.
   */
  readonly kafkaFilter: string;
  /** The local node may always reach its endpoints unless a rule denies it. */
  readonly allowLocalhost: 'always' | 'policy';
  /** Label prefixes that take part in identities; `!` first excludes. null: the usual default. */
  readonly identityLabels: readonly string[] | null;
  readonly allocator: IdentityAllocator;
}

/** The policy engine: facts and documents in, exact deltas out. Does no I/O and reads no clock. */
export interface Engine {
  /** Applies changes together, in order. A document that is refused leaves its last good version in force. */
  apply(changes: readonly EngineChange[]): EngineUpdate;
  setFile(file: string, text: string): EngineUpdate;
  removeFile(file: string): EngineUpdate;
  state(): EngineState;
  /** Problems of every document as it stands. */
  problems(): readonly Problem[];
  /** Every block of rules in the documents in force, whether a workload of this node has to do with it or not. */
  declaredSlots(): readonly L7Slot[];
  /** Where rules with this content stand. */
  sourcesOf(rule: RuleId): readonly SourceRef[];
  /** The sorted, security-relevant labels of an identity, or null when it is not known. */
  labelsOf(identity: Identity): Labels | null;
  explain(flow: Flow): Explanation;
}
