import type { Identity } from './identity.ts';
import type { Problem } from './problem.ts';
import type {
  ClassId,
  Enforced,
  L7Class,
  L7Set,
  L7SetId,
  L7Slot,
  PolicyMapEntry,
  SlotId,
  SubjectKey,
  SubjectPolicy,
} from './subject-policy.ts';

/** A local endpoint as the kernel must know it. */
export interface EndpointState {
  readonly id: string;
  readonly identity: Identity;
  readonly subject: SubjectKey;
  readonly addresses: readonly string[];
}

export interface SubjectChange {
  readonly key: SubjectKey;
  readonly enforced: Enforced;
  /** An entry whose verdict changed stands in both lists. */
  readonly added: readonly PolicyMapEntry[];
  readonly removed: readonly PolicyMapEntry[];
  /** The whole policy after the change. */
  readonly policy: SubjectPolicy;
}

/** What an update changed, and nothing else. Applying deltas in order gives `engine.state()`. */
export interface EngineDelta {
  readonly subjects: {
    readonly added: readonly SubjectPolicy[];
    readonly changed: readonly SubjectChange[];
    readonly removed: readonly SubjectKey[];
  };
  readonly slots: {
    readonly added: readonly L7Slot[];
    /** Content changed in place. */
    readonly changed: readonly L7Slot[];
    readonly removed: readonly SlotId[];
  };
  readonly sets: { readonly added: readonly L7Set[]; readonly removed: readonly L7SetId[] };
  readonly classes: { readonly added: readonly L7Class[]; readonly removed: readonly ClassId[] };
  readonly endpoints: { readonly set: readonly EndpointState[]; readonly removed: readonly string[] };
  /** Address prefixes in canonical text form (`10.0.0.1/32`, `fd00::/64`). */
  readonly ipcache: {
    readonly set: ReadonlyMap<string, Identity>;
    readonly removed: readonly string[];
  };
}

export interface EngineUpdate {
  readonly delta: EngineDelta;
  /** Problems of the documents that this update brought; the others stand in `engine.problems()`. */
  readonly problems: readonly Problem[];
}

/** Everything in force. */
export interface EngineState {
  readonly subjects: ReadonlyMap<SubjectKey, SubjectPolicy>;
  readonly slots: ReadonlyMap<SlotId, L7Slot>;
  readonly sets: ReadonlyMap<L7SetId, L7Set>;
  readonly classes: ReadonlyMap<ClassId, L7Class>;
  readonly endpoints: ReadonlyMap<string, EndpointState>;
  readonly ipcache: ReadonlyMap<string, Identity>;
}
