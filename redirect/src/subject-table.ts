import {
  type Generation,
  type IdentityNumber,
  identityNumber,
  openGeneration,
  type SetNumber,
  type SubjectNumber,
  type SubjectValue,
  subjectNumber,
} from '@weir/bpf';
import {
  type ClassId,
  type Direction,
  type DirectionPolicy,
  type L7SetId,
  type MovedPeer,
  type SubjectKey,
  type SubjectPolicy,
  subjectKey,
} from '@weir/l7-policy';
import type { Allocation } from './allocation.ts';
import type { DesiredState } from './desired-state.ts';
import { type DirectionVersions, openDirectionVersions, type Version } from './direction-versions.ts';
import type { Kernel } from './kernel.ts';
import type { MapUsage } from './map-room.ts';
import { movesBetween } from './moves-between.ts';
import { openPolicyTables, type PolicyTables } from './policy-tables.ts';

/** A subject of which something keeps its last version. */
export type HeldSubject =
  | { readonly kind: 'waits-for-proxy'; readonly subject: SubjectKey; readonly classes: readonly ClassId[] }
  | { readonly kind: 'refused-by-kernel'; readonly subject: SubjectKey; readonly error: unknown };

/** What the subjects should have, and what is known of peers and proxy meanwhile. */
export interface WantedSubjects extends Pick<DesiredState, 'directions' | 'steps'> {
  readonly subjects: readonly SubjectPolicy[];
  /** Classes that a direction policy leads to and that must be waited for. */
  readonly waitsFor: (policy: DirectionPolicy) => readonly ClassId[];
  /** No address bears the identity yet. */
  readonly isNew: (identity: IdentityNumber) => boolean;
  /** No address will bear it after this turn. */
  readonly isGoing: (identity: IdentityNumber) => boolean;
}

/** Versions that stand in the kernel and wait for their moment. */
export interface PreparedSubjects {
  readonly held: readonly HeldSubject[];
  /** Subjects that `commit` switches. */
  readonly switched: readonly SubjectKey[];
  /** New identities whose entries were refused: no address may come to bear them. */
  readonly refused: ReadonlySet<IdentityNumber>;
  /** Switches subjects, one write each: the new ones, which no endpoint names yet, or the others. */
  commit(which: 'new' | 'others'): void;
}

/** The subjects in the kernel, and which versions of direction policies they are on. */
export interface SubjectTable {
  /** Works out what must change and writes it without putting it in force, but for peers that nobody bears yet. */
  prepare(wanted: WantedSubjects): PreparedSubjects;
  /** Deletes what versions in force have no use for. After `commit`. */
  clean(): void;
  /** Deletes what was prepared and not committed. */
  abandon(): void;
  /** Deletes subjects that are not among `wanted`. Only when no endpoint names them any more. */
  removeOthers(wanted: ReadonlySet<SubjectKey>): void;
  /** L7 sets that a version in force leads to. */
  setsInForce(): ReadonlySet<SetNumber>;
  usage(): readonly MapUsage[];
}

/** null: not enforced. */
type Target = Version | null;
type InForce = Readonly<Record<Direction, Target>>;

const directions = ['ingress', 'egress'] as const;

/** Reads what stands in the kernel. */
export function openSubjectTable(kernel: Kernel, allocation: Allocation): SubjectTable {
  const map = kernel.maps.subjects;
  const tables: PolicyTables = openPolicyTables(kernel.maps.policyTables, numberOf);
  const versions: DirectionVersions = openDirectionVersions(
    kernel.maps.policyPeers,
    tables,
    allocation.newGeneration,
  );
  const inForce = new Map<SubjectKey, InForce>();
  allocation.seen(versions.lastSeen);
  for (const [number, { ingress, egress }] of map.entries()) {
    if (number === 0) continue;
    for (const generation of [ingress, egress]) allocation.seen(generation);
    const key = allocation.subjects.keyOf(number) ?? adoptStray(number, allocation);
    put(key, { ingress: adopt(ingress), egress: adopt(egress) });
  }
  versions.dropUnused();

  function numberOf(set: L7SetId): SetNumber {
    const number = allocation.sets.get(set);
    if (number === undefined)
      throw new Error(`L7 set ${set} has no number: sets are numbered before subjects`);
    return number as SetNumber;
  }

  function adopt(generation: Generation): Target {
    return generation === openGeneration ? null : versions.adopted(generation);
  }

  function put(key: SubjectKey, after: InForce | undefined): void {
    const before = inForce.get(key);
    for (const direction of directions) {
      before?.[direction]?.users.delete(key);
    }
    if (after === undefined) inForce.delete(key);
    else inForce.set(key, after);
    for (const direction of directions) after?.[direction]?.users.add(key);
  }

  function numberOfSubject(key: SubjectKey): SubjectNumber {
    return subjectNumber(allocation.subjects.take(key));
  }

  function prepare(wanted: WantedSubjects): PreparedSubjects {
    const held: HeldSubject[] = [];
    const refused = new Set<IdentityNumber>();
    const failures = new Map<DirectionPolicy, unknown>();
    const changes = new Map<SubjectKey, InForce>();
    const policies = new Map(wanted.subjects.map((policy) => [policy.key, policy]));
    const isNew = (key: SubjectKey): boolean => !inForce.has(key);

    /** Whether everybody on the version is to have this policy. */
    function isWantedByAll({ users }: Version, { id, direction }: DirectionPolicy): boolean {
      return [...users].every((user) => {
        const policy = policies.get(user);
        return policy === undefined || policy[direction] === id;
      });
    }

    function isUnnoticed({ peer, after }: MovedPeer): boolean {
      return after === null ? wanted.isGoing(identityNumber(peer)) : wanted.isNew(identityNumber(peer));
    }

    function find(current: Target | undefined, policy: DirectionPolicy): Version {
      const known = versions.of(policy);
      if (known !== undefined) return known;
      const failed = failures.get(policy);
      if (failed !== undefined) throw failed;
      if (current === null || current === undefined) return versions.create(policy);
      if (current.policy === undefined && versions.recognise(current, policy)) return current;
      if (current.policy?.id !== policy.id) return versions.create(policy);
      const moved = movesBetween(current.policy, policy, wanted.steps.get(policy.id) ?? []);
      try {
        if (!isWantedByAll(current, policy) || !moved.every(isUnnoticed)) return versions.create(policy);
        versions.change(current, policy, moved);
        return current;
      } catch (error) {
        for (const { peer, after } of moved) {
          if (after !== null && wanted.isNew(identityNumber(peer))) refused.add(identityNumber(peer));
        }
        throw error;
      }
    }

    /** The version for one direction; undefined for a new subject that was refused. */
    function choose(key: SubjectKey, direction: Direction): Target | undefined {
      const current = inForce.get(key)?.[direction];
      const id = policies.get(key)?.[direction] ?? null;
      if (id === null) return null;
      const policy = wanted.directions.get(id);
      if (policy === undefined) throw new Error(`subject ${key} names a direction policy that is not there`);
      if (current?.policy === policy) return current;
      // What protects a new workload is not waited for: its L7 connections find no pair and are refused.
      const classes = current === undefined ? [] : wanted.waitsFor(policy);
      if (classes.length > 0) {
        held.push({ kind: 'waits-for-proxy', subject: key, classes });
        return current;
      }
      try {
        return find(current, policy);
      } catch (error) {
        failures.set(policy, error);
        held.push({ kind: 'refused-by-kernel', subject: key, error });
        return current;
      }
    }

    // Those in force first: a version that can be changed in place serves new subjects as well.
    for (const key of [...policies.keys()].sort((a, b) => Number(isNew(a)) - Number(isNew(b)))) {
      const before = inForce.get(key);
      const [ingress, egress] = [choose(key, 'ingress'), choose(key, 'egress')];
      // A new subject without a version is denied everything.
      if (ingress === undefined || egress === undefined) continue;
      if (before?.ingress !== ingress || before.egress !== egress) changes.set(key, { ingress, egress });
    }
    const fresh = new Set([...changes.keys()].filter(isNew));

    return {
      held,
      refused,
      switched: [...changes.keys()],
      commit(which) {
        const due = [...changes].filter(([key]) => fresh.has(key) === (which === 'new'));
        map.setBatch(due.map(([key, after]) => [numberOfSubject(key), subjectValue(after)]));
        for (const [key, after] of due) put(key, after);
      },
    };
  }

  return {
    prepare,
    clean: versions.clean,
    abandon: versions.dropUnused,
    removeOthers(wanted) {
      const gone = [...inForce.keys()].filter((key) => !wanted.has(key));
      map.deleteBatch(gone.map(numberOfSubject));
      for (const key of gone) {
        put(key, undefined);
        allocation.subjects.release(key);
      }
    },
    setsInForce: tables.sets,
    usage: () => [versions.usage(), tables.usage()],
  };
}

function subjectValue({ ingress, egress }: InForce): SubjectValue {
  const generationOf = (version: Target): Generation => version?.generation ?? openGeneration;
  return { ingress: generationOf(ingress), egress: generationOf(egress) };
}

/** A subject whose key was lost with the state directory: it stays in force until no endpoint names it. */
function adoptStray(number: SubjectNumber, allocation: Allocation): SubjectKey {
  const key = subjectKey(`stray-${number}`);
  allocation.subjects.adopt(key, number);
  return key;
}
