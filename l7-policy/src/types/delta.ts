import type { Identity } from './identity.ts';
import type { Problem } from './problem.ts';
import type {
  ClassId,
  DirectionId,
  DirectionPolicy,
  L7Class,
  L7Set,
  L7SetId,
  L7Slot,
  PortTable,
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

/** Identities that came to, left or moved within a direction policy; its rules are the same. */
export interface DirectionChange {
  readonly before: DirectionPolicy;
  readonly after: DirectionPolicy;
  readonly moved: readonly MovedPeer[];
}

/** null: the table of any peer. */
export interface MovedPeer {
  readonly peer: Identity;
  readonly before: PortTable | null;
  readonly after: PortTable | null;
}

/** What an update changed, and nothing else. Applying deltas in order gives `engine.state()`. */
export interface EngineDelta {
  /** `changed`: a subject has other rules now, and so other direction policies. */
  readonly subjects: {
    readonly added: readonly SubjectPolicy[];
    readonly changed: readonly SubjectPolicy[];
    readonly removed: readonly SubjectKey[];
  };
  readonly directions: {
    readonly added: readonly DirectionPolicy[];
    readonly changed: readonly DirectionChange[];
    readonly removed: readonly DirectionId[];
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
  /** Those that a subject names. */
  readonly directions: ReadonlyMap<DirectionId, DirectionPolicy>;
  readonly slots: ReadonlyMap<SlotId, L7Slot>;
  readonly sets: ReadonlyMap<L7SetId, L7Set>;
  readonly classes: ReadonlyMap<ClassId, L7Class>;
  readonly endpoints: ReadonlyMap<string, EndpointState>;
  readonly ipcache: ReadonlyMap<string, Identity>;
}
