import {
  anyIdentity,
  type Generation,
  type IdentityNumber,
  identityNumber,
  openGeneration,
  type PeerKey,
  type TableRef,
} from '@weir/bpf';
import type { DirectionPolicy, MovedPeer, PortTable, SubjectKey } from '@weir/l7-policy';
import type { Kernel } from './kernel.ts';
import { type MapUsage, mapRoom } from './map-room.ts';
import type { PolicyTables } from './policy-tables.ts';

/** One version of a direction policy in the kernel. */
export interface Version {
  readonly generation: Generation;
  /** What it says; undefined for what an earlier process wrote, until it is recognised. */
  readonly policy: DirectionPolicy | undefined;
  /** Subjects on it. */
  readonly users: Set<SubjectKey>;
}

/** The versions of direction policies that stand in the kernel. */
export interface DirectionVersions {
  /** The version that says exactly this. */
  of(policy: DirectionPolicy): Version | undefined;
  /** A version that an earlier process put in force. */
  adopted(generation: Generation): Version;
  /** Takes an adopted version for `policy`; false when it says something else. */
  recognise(version: Version, policy: DirectionPolicy): boolean;
  /** Writes a new version, which nobody uses yet. Throws when it cannot be written; then nothing has changed. */
  create(policy: DirectionPolicy): Version;
  /**
   * Turns a version into another of the same rules. Peers that come take effect at once, those that go with `clean`.
   * Throws when they cannot be written; then nothing has changed.
   */
  change(version: Version, policy: DirectionPolicy, moved: readonly MovedPeer[]): void;
  /** Deletes peers that have gone, versions that nobody uses, and their tables. */
  clean(): void;
  /** Deletes versions that nobody uses, and their tables. */
  dropUnused(): void;
  /** The highest generation that the kernel holds entries of. */
  readonly lastSeen: Generation;
  usage(): MapUsage;
}

interface Held extends Version {
  policy: DirectionPolicy | undefined;
  /** What an earlier process wrote; empty once it is recognised. */
  readonly found: Map<IdentityNumber, TableRef>;
  /** Peers that are no longer in `policy`, and still in the kernel. */
  readonly leaving: Map<IdentityNumber, TableRef>;
}

/** Reads the versions that stand in the kernel; those that nobody adopts go with `dropUnused`. */
export function openDirectionVersions(
  map: Kernel['maps']['policyPeers'],
  tables: PolicyTables,
  newGeneration: () => Generation,
): DirectionVersions {
  const versions = new Map<Generation, Held>();
  const byPolicy = new Map<DirectionPolicy, Held>();
  let found = 0;
  let lastSeen = openGeneration;
  for (const [{ generation, identity }, ref] of map.entries()) {
    found += 1;
    if (generation > lastSeen) lastSeen = generation;
    (versions.get(generation) ?? add(generation, undefined)).found.set(identity, ref);
    tables.adopt(ref.table);
  }
  const room = mapRoom(map, found);

  function add(generation: Generation, policy: DirectionPolicy | undefined): Held {
    const users = new Set<SubjectKey>();
    const version: Held = { generation, policy, users, found: new Map(), leaving: new Map() };
    versions.set(generation, version);
    if (policy !== undefined) byPolicy.set(policy, version);
    return version;
  }

  function held({ generation }: Version): Held {
    const version = versions.get(generation);
    if (version === undefined) throw new Error(`version ${generation} is not in the kernel any more`);
    return version;
  }

  /** Writes peers over those in `replaced`. Takes everything back when that fails. */
  function write(
    generation: Generation,
    peers: readonly Peer[],
    replaced: ReadonlyMap<IdentityNumber, TableRef>,
  ): void {
    const fresh = peers.filter(({ identity }) => !replaced.has(identity));
    const counts = new Map<PortTable, number>();
    for (const { table } of peers) counts.set(table, (counts.get(table) ?? 0) + 1);
    const taken = new Map<PortTable, TableRef>();
    room.claim(fresh.length);
    try {
      for (const [table, count] of counts) taken.set(table, tables.take(table, count));
      map.setBatch(peers.map(({ identity, table }) => [{ generation, identity }, tables.of(table)]));
    } catch (error) {
      map.deleteBatch(fresh.map(({ identity }) => ({ generation, identity })));
      map.setBatch([...replaced].map(([identity, ref]) => [{ generation, identity }, ref]));
      for (const [table, ref] of taken) tables.giveBack(ref.table, counts.get(table) ?? 0);
      room.free(fresh.length);
      throw error;
    }
    for (const { table } of replaced.values()) tables.giveBack(table, 1);
  }

  function remove(generation: Generation, peers: Iterable<readonly [IdentityNumber, TableRef]>): void {
    const keys: PeerKey[] = [];
    for (const [identity, { table }] of peers) {
      keys.push({ generation, identity });
      tables.giveBack(table, 1);
    }
    map.deleteBatch(keys);
    room.free(keys.length);
  }

  function drop(version: Held): void {
    const { generation, policy } = version;
    remove(generation, version.leaving);
    remove(generation, policy === undefined ? version.found : kernelPeers(policy));
    versions.delete(generation);
    if (policy !== undefined && byPolicy.get(policy) === version) byPolicy.delete(policy);
  }

  function kernelPeers(policy: DirectionPolicy): (readonly [IdentityNumber, TableRef])[] {
    return peersOf(policy).map(({ identity, table }) => [identity, tables.of(table)]);
  }

  function dropUnused(): void {
    for (const version of [...versions.values()]) if (version.users.size === 0) drop(version);
    tables.sweep();
  }

  return {
    of: (policy) => byPolicy.get(policy),
    adopted: (generation) => versions.get(generation) ?? add(generation, undefined),
    recognise(version, policy) {
      const known = held(version);
      const peers = peersOf(policy);
      const same =
        known.policy === undefined &&
        peers.length === known.found.size &&
        peers.every(({ identity, table }) => {
          const ref = known.found.get(identity);
          return ref !== undefined && tables.is(table, ref.table);
        });
      if (!same) return false;
      known.policy = policy;
      known.found.clear();
      byPolicy.set(policy, known);
      return true;
    },
    create(policy) {
      const generation = newGeneration();
      write(generation, peersOf(policy), new Map());
      return add(generation, policy);
    },
    change(version, policy, moved) {
      const known = held(version);
      const { generation, leaving } = known;
      const coming: Peer[] = [];
      const going = new Map<IdentityNumber, TableRef>();
      const replaced = new Map<IdentityNumber, TableRef>();
      for (const { peer, before, after } of moved) {
        const identity = identityNumber(peer);
        const had = before === null ? leaving.get(identity) : tables.of(before);
        if (after !== null) coming.push({ identity, table: after });
        if (had !== undefined) (after === null ? going : replaced).set(identity, had);
      }
      write(generation, coming, replaced);
      for (const { identity } of coming) leaving.delete(identity);
      for (const [identity, ref] of going) leaving.set(identity, ref);
      if (known.policy !== undefined) byPolicy.delete(known.policy);
      known.policy = policy;
      byPolicy.set(policy, known);
    },
    clean() {
      for (const { generation, leaving } of versions.values()) {
        if (leaving.size === 0) continue;
        remove(generation, leaving);
        leaving.clear();
      }
      dropUnused();
    },
    dropUnused,
    lastSeen,
    usage: room.usage,
  };
}

interface Peer {
  readonly identity: IdentityNumber;
  readonly table: PortTable;
}

/** The entries of a policy: any peer, where something is said of it, and the peers with tables of their own. */
function peersOf(policy: DirectionPolicy): readonly Peer[] {
  const peers: Peer[] = [];
  if (policy.any.entries.length > 0) peers.push({ identity: anyIdentity, table: policy.any });
  policy.forEachPeer((peer, table) => void peers.push({ identity: identityNumber(peer), table }));
  return peers;
}
