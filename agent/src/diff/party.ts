import { BlockList, isIPv4, isIPv6 } from 'node:net';
import {
  type Engine,
  type EngineState,
  type Identity,
  type PeerRef,
  reservedIdentities,
  type SubjectKey,
} from '@weir/l7-policy';

/** Ends of connections that both versions of the policies treat alike among themselves. */
export interface Party {
  /** Workloads, or one prefix outside. */
  readonly names: readonly string[];
  /** A member, for questions to the engines. */
  readonly ref: PeerRef;
  readonly before: PartyState;
  readonly after: PartyState;
}

export interface PartyState {
  readonly identity: Identity;
  /** null: no policy applies to it. */
  readonly subject: SubjectKey | null;
}

/** Groups the workloads, which both engines know alike, and the prefixes outside that either version names. */
export function findParties(before: Engine, after: Engine): readonly Party[] {
  const states = { before: before.state(), after: after.state() };
  const groups = new Map<string, { names: string[]; party: Omit<Party, 'names'> }>();
  const add = (name: string, ref: PeerRef, was: PartyState, is: PartyState) => {
    const party = { ref, before: stateOf(was), after: stateOf(is) };
    const key = JSON.stringify([ref.kind, party.before, party.after]);
    const group = groups.get(key);
    if (group === undefined) groups.set(key, { names: [name], party });
    else group.names.push(name);
  };
  for (const [id, own] of states.before.endpoints) {
    const then = states.after.endpoints.get(id);
    if (then !== undefined) add(id, { kind: 'endpoint', id }, own, then);
  }
  const find = {
    before: addressLookup(states.before),
    after: addressLookup(states.after),
  };
  for (const prefix of outsidePrefixes(states)) {
    const [address = ''] = prefix.split('/');
    add(
      prefix.endsWith('/0') ? `world (${prefix})` : prefix,
      { kind: 'address', address },
      { identity: find.before(address), subject: null },
      { identity: find.after(address), subject: null },
    );
  }
  return [...groups.values()].map(({ names, party }) => ({ names: names.sort(), ...party }));
}

function stateOf({ identity, subject }: PartyState): PartyState {
  return { identity, subject };
}

function outsidePrefixes(states: { before: EngineState; after: EngineState }): ReadonlySet<string> {
  const own = new Set(
    [...states.before.endpoints.values()].flatMap(({ addresses }) =>
      addresses.map((address) => `${address}/${isIPv6(address) ? 128 : 32}`),
    ),
  );
  const all = [...states.before.ipcache.keys(), ...states.after.ipcache.keys()];
  return new Set(all.filter((prefix) => !own.has(prefix)));
}

/** The identity of an address: that of the longest prefix that holds it. */
function addressLookup(state: EngineState): (address: string) => Identity {
  const rows = [...state.ipcache]
    .map(([prefix, identity]) => {
      const [network = '', length = '0'] = prefix.split('/');
      const list = new BlockList();
      list.addSubnet(network, Number(length), isIPv4(network) ? 'ipv4' : 'ipv6');
      return { list, length: Number(length), family: isIPv4(network), identity };
    })
    .sort((a, b) => b.length - a.length);
  return (address) => {
    const family = isIPv4(address);
    const row = rows.find(
      (item) => item.family === family && item.list.check(address, family ? 'ipv4' : 'ipv6'),
    );
    return row?.identity ?? reservedIdentities.world;
  };
}
