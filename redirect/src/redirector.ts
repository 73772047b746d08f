import {
  type EndpointValue,
  type IdentityNumber,
  type Ifindex,
  type InterfaceRole,
  type IpAddress,
  type IpPrefix,
  identityNumber,
  ifindex,
  ipAddress,
  ipPrefix,
  type LocalAddressValue,
  noSet,
  type PairKey,
  type ProxyPort,
  proxyPort,
  type SetNumber,
  type SubjectNumber,
  setNumber,
  subjectNumber,
  type WideningKey,
} from '@weir/bpf';
import type { ClassId, L7Class, L7Set, L7SetId, SubjectKey } from '@weir/l7-policy';
import { type AllocationStore, createAllocation, type PortRange } from './allocation.ts';
import type { DesiredEndpoint, DesiredState } from './desired-state.ts';
import type { Kernel } from './kernel.ts';
import type { MapUsage } from './map-room.ts';
import { mirrorMap } from './mirror.ts';
import { type HeldSubject, openSubjectTable, type PreparedSubjects } from './subject-table.ts';
import { wideningsOf } from './widenings.ts';

/** What became of one call of `apply`. */
export interface ApplyReport {
  /** Subjects of which something new is not in force, and why; the last version of it still is. */
  readonly held: readonly HeldSubject[];
  /** Endpoints that could not be protected: nothing of theirs was changed. */
  readonly unattached: readonly { readonly endpoint: string; readonly error: unknown }[];
  /** Subjects that were switched to a new version. */
  readonly switched: readonly SubjectKey[];
}

/** Keeps the kernel equal to what is desired, in an order in which nothing is ever redirected to nobody. */
export interface Redirector {
  /** The port of a class's listener; allocated, and on disk, when the call returns. */
  portOf(id: ClassId): ProxyPort;
  /** Brings the kernel as near to `desired` as readiness allows. Safe to repeat. */
  apply(desired: DesiredState): ApplyReport;
  /** Classes that are no longer desired and that no living connection uses: their listeners may go. */
  drained(): readonly ClassId[];
  /** Gives back the port of a drained class. After its listener is gone. */
  release(id: ClassId): void;
  /** The class of a listener's port. */
  classAt(port: ProxyPort): ClassId | undefined;
  /** How full the policy maps are. */
  usage(): readonly MapUsage[];
}

/**
 * Reads what the kernel enforces now and takes it over.
 *
 * Order of effects in `apply`, so that each step stands on those before it:
 * 1. pairs of classes that are ready; 2. tables, then new versions of direction policies, or peers in versions in
 * force for identities that no address bears yet; 3. identities, endpoints, programs; 4. the switch of each subject,
 * one write each; 5. removal, in the other order. A direction that needs a class which is not ready keeps its last
 * version; one that has none yet is written all the same, and its L7 connections are refused until the class is ready.
 */
export function openRedirector(kernel: Kernel, store: AllocationStore, ports: PortRange): Redirector {
  const { maps } = kernel;
  const allocation = createAllocation(store, ports);
  const subjects = openSubjectTable(kernel, allocation);
  const pairs = mirrorMap(maps.pairs, pairName, (left, right) => left.proxyPort === right.proxyPort);
  const widenings = mirrorMap(
    maps.widenings,
    ({ from, to }) => `${from} ${to}`,
    () => true,
  );
  const ipcache = mirrorMap(maps.ipcache, prefixName, (left, right) => left === right);
  const workloadPrefixes = mirrorMap(maps.workloadPrefixes, prefixName, () => true);
  const localAddresses = mirrorMap(maps.localAddresses, (address) => address, sameLocalAddress);
  const endpoints = mirrorMap(maps.endpoints, String, sameEndpoint);
  /** Sets that a living connection may stand under, those no longer desired among them. */
  const knownSets = new Map<L7SetId, L7Set>();
  /** This process has put the guard where it belongs. */
  let guarded = false;
  let desiredClasses: ReadonlyMap<ClassId, L7Class> = new Map();

  function apply(desired: DesiredState): ApplyReport {
    desiredClasses = desired.classes;
    for (const set of desired.sets.values()) {
      allocation.sets.take(set.id);
      knownSets.set(set.id, set);
    }
    for (const { subject } of desired.endpoints) allocation.subjects.take(subject);
    for (const id of desired.classes.keys()) allocation.proxyPorts.take(id);
    allocation.save();

    const ready = [...desired.classes.values()].filter(({ id }) => desired.ready.has(id));
    const pairDiff = pairs.diff(
      ready.map((item) => [pairKey(item), { proxyPort: portOf(item.id) }] as const),
    );
    pairs.write([...pairDiff.add, ...pairDiff.change]);
    const wideningDiff = widenings.diff(wideningsOf(knownSets.values()).map(wideningEntry));
    widenings.write(wideningDiff.add);

    try {
      const prefixes = ipcacheOf(desired);
      const prepared = prepareSubjects(desired, prefixes);
      const unattached = switchOver(desired, prefixes, prepared);
      guard(desired.workloadPrefixes);
      subjects.removeOthers(new Set(desired.endpoints.map(({ subject }) => subject)));
      subjects.clean();
      removeUnusedPairs(desired.classes);
      widenings.remove(wideningDiff.remove);
      return { held: prepared.held, unattached, switched: prepared.switched };
    } catch (error) {
      subjects.abandon();
      throw error;
    }
  }

  /** Works out and writes what subjects need, without putting it in force. */
  function prepareSubjects(desired: DesiredState, prefixes: readonly Prefix[]): PreparedSubjects {
    const known = new Set<IdentityNumber>(ipcache.values());
    const wanted = new Set<IdentityNumber>(prefixes.map(([, identity]) => identity));
    // Once it had a pair, a class whose listener is gone refuses by itself: only new ones are waited for.
    const present = new Set([...pairs.keys()].map(pairName));
    const waiting = classesBySet(
      [...desired.classes.values()].filter(
        (item) => !desired.ready.has(item.id) && !present.has(pairName(pairKey(item))),
      ),
    );
    return subjects.prepare({
      subjects: [...new Set(desired.endpoints.map(({ subject }) => subject))].map((subject) => {
        const policy = desired.subjects.get(subject);
        if (policy === undefined) throw new Error(`subject ${subject} has no policy: an endpoint names it`);
        return policy;
      }),
      directions: desired.directions,
      steps: desired.steps,
      waitsFor: ({ sets }) =>
        waiting.size === 0 ? [] : [...new Set(sets.flatMap((set) => waiting.get(set) ?? []))],
      isNew: (identity) => !known.has(identity),
      isGoing: (identity) => !wanted.has(identity),
    });
  }

  /** Identities, endpoints and programs, with the switch of each subject at its place between them. */
  function switchOver(
    desired: DesiredState,
    prefixes: readonly Prefix[],
    prepared: PreparedSubjects,
  ): ApplyReport['unattached'] {
    // Nobody may bear an identity that a version in force should know and does not.
    const identities = ipcache.diff(prefixes.filter(([, identity]) => !prepared.refused.has(identity)));
    ipcache.write([...identities.add, ...identities.change]);
    // An address that is new here resolved to a wider prefix, or to the world, until now.
    if (identities.add.length + identities.change.length > 0) kernel.bumpIpcacheEpoch();
    prepared.commit('new');

    const local = localAddresses.diff(desired.endpoints.flatMap(localAddressesOf));
    const attached = endpoints.diff(desired.endpoints.map(endpointEntry));
    localAddresses.write([...local.add, ...local.change]);
    endpoints.write([...attached.add, ...attached.change]);
    const unattached = attachMissing(desired);
    prepared.commit('others');

    for (const interfaceNumber of attached.remove) kernel.detach(interfaceNumber);
    endpoints.remove(attached.remove);
    localAddresses.remove(local.remove);
    ipcache.remove(identities.remove);
    if (identities.remove.length > 0) kernel.bumpIpcacheEpoch();
    return unattached;
  }

  /** After all endpoints: before, everybody would be a stranger. */
  function guard(wanted: readonly string[]): void {
    const { add, remove } = workloadPrefixes.diff(wanted.map((prefix) => [ipPrefix(prefix), true] as const));
    workloadPrefixes.write(add);
    if (wanted.length > 0 && !guarded) kernel.guard(true);
    else if (wanted.length === 0 && remove.length > 0) kernel.guard(false);
    guarded = wanted.length > 0;
    workloadPrefixes.remove(remove);
  }

  /** Puts programs where they are missing or of another build, and takes them off what is no longer an uplink. */
  function attachMissing({ endpoints: wanted, uplinks }: DesiredState): ApplyReport['unattached'] {
    const present = new Map(kernel.attached().map((found) => [found.ifindex, found]));
    const roles = new Map<Ifindex, { readonly role: InterfaceRole; readonly name: string }>();
    for (const number of uplinks) roles.set(ifindex(number), { role: 'network', name: `uplink ${number}` });
    for (const { ifindex: number, name } of wanted) roles.set(ifindex(number), { role: 'workload', name });
    for (const { ifindex: number, role } of present.values()) {
      if (role === 'network' && roles.get(number)?.role !== 'network') kernel.detach(number);
    }
    return [...roles].flatMap(([number, { role, name }]) => {
      const found = present.get(number);
      if (found?.current === true && found.role === role) return [];
      try {
        kernel.attach(number, role);
        return [];
      } catch (error) {
        return [{ endpoint: name, error }];
      }
    });
  }

  /** A pair goes when its class is no longer desired and no version in force, a held one say, can lead to it. */
  function removeUnusedPairs(classes: ReadonlyMap<ClassId, L7Class>): void {
    const wanted = new Set([...classes.values()].map((item) => pairName(pairKey(item))));
    const inForce = subjects.setsInForce();
    const reachable = (set: SetNumber): boolean => set === noSet || inForce.has(set);
    pairs.remove(
      [...pairs.keys()].filter(
        (pair) => !wanted.has(pairName(pair)) && !(reachable(pair.egressSet) && reachable(pair.ingressSet)),
      ),
    );
  }

  function portOf(id: ClassId): ProxyPort {
    const port = proxyPort(allocation.proxyPorts.take(id));
    allocation.save();
    return port;
  }

  function pairKey({ egress, ingress }: L7Class): PairKey {
    return { egressSet: numberOf(egress), ingressSet: numberOf(ingress) };
  }

  function numberOf(set: L7SetId | null): SetNumber {
    return set === null ? noSet : setNumber(allocation.sets.take(set));
  }

  function wideningEntry([from, to]: readonly [L7SetId, L7SetId]): readonly [WideningKey, true] {
    return [{ from: numberOf(from), to: numberOf(to) }, true];
  }

  function endpointEntry({
    ifindex: number,
    identity,
    subject,
  }: DesiredEndpoint): readonly [Ifindex, EndpointValue] {
    return [ifindex(number), { identity: identityNumber(identity), subject: numberOfSubject(subject) }];
  }

  function localAddressesOf(endpoint: DesiredEndpoint): (readonly [IpAddress, LocalAddressValue])[] {
    const [interfaceNumber, value] = endpointEntry(endpoint);
    const { denyAction } = endpoint;
    return endpoint.addresses.map((address) => [
      ipAddress(address),
      { ...value, ifindex: interfaceNumber, denyAction },
    ]);
  }

  function numberOfSubject(subject: SubjectKey): SubjectNumber {
    return subjectNumber(allocation.subjects.take(subject));
  }

  function drained(): readonly ClassId[] {
    const idle = [...allocation.proxyPorts.entries()].filter(([id]) => !desiredClasses.has(id));
    if (idle.length === 0) return [];
    const busy = new Set<number>([...pairs.values()].map((pair) => pair.proxyPort));
    for (const connection of kernel.connections()) {
      if (connection.proxyPort !== undefined) busy.add(connection.proxyPort);
    }
    return idle.flatMap(([id, port]) => (busy.has(port) ? [] : [id]));
  }

  return {
    portOf,
    apply,
    drained,
    usage: subjects.usage,
    classAt: (port) => allocation.proxyPorts.keyOf(port),
    release(id) {
      allocation.proxyPorts.release(id);
      allocation.save();
    },
  };
}

type Prefix = readonly [IpPrefix, IdentityNumber];

function ipcacheOf(desired: DesiredState): readonly Prefix[] {
  return [
    ...[...desired.ipcache].map(
      ([prefix, identity]) => [ipPrefix(prefix), identityNumber(identity)] as const,
    ),
    ...desired.endpoints.flatMap(({ addresses, identity }) =>
      addresses.map((address) => [ipPrefix(address), identityNumber(identity)] as const),
    ),
  ];
}

function classesBySet(classes: readonly L7Class[]): ReadonlyMap<L7SetId, readonly ClassId[]> {
  const bySet = new Map<L7SetId, ClassId[]>();
  for (const { id, egress, ingress } of classes) {
    for (const set of [egress, ingress]) {
      if (set !== null) bySet.set(set, [...(bySet.get(set) ?? []), id]);
    }
  }
  return bySet;
}

function pairName({ egressSet, ingressSet }: PairKey): string {
  return `${egressSet} ${ingressSet}`;
}

function prefixName({ address, length }: IpPrefix): string {
  return `${address}/${length}`;
}

function sameEndpoint(left: EndpointValue, right: EndpointValue): boolean {
  return left.identity === right.identity && left.subject === right.subject;
}

function sameLocalAddress(left: LocalAddressValue, right: LocalAddressValue): boolean {
  return left.ifindex === right.ifindex && left.denyAction === right.denyAction && sameEndpoint(left, right);
}
