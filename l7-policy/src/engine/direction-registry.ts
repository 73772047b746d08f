import { digest } from '../digest.ts';
import type { Peer, Rule } from '../model/policy.ts';
import type { DirectionChange, EngineDelta, MovedPeer } from '../types/delta.ts';
import type { NamedPort } from '../types/fact.ts';
import type { Identity } from '../types/identity.ts';
import type { Direction, DirectionId, DirectionPolicy, L7SetId, PortTable } from '../types/subject-policy.ts';
import type { CompileParts } from './compile-table.ts';
import {
  type CompiledDirection,
  compileDirection,
  createDirectionPolicy,
  type DirectionRules,
  moveIdentity,
  moveUser,
  setsOf,
} from './direction-policy.ts';
import {
  collectDirection,
  type DirectionGrants,
  grantsThatCount,
  portNames,
  portsNamed,
} from './direction-rules.ts';
import type { GrantNumbers } from './grant-numbers.ts';
import type { IdentityTable } from './identity-table.ts';
import type { PeerFactStore } from './peer-fact-store.ts';
import type { Selector, SelectorCache, SelectorUser } from './selector-cache.ts';
import type { SetHandle } from './set-registry.ts';

/** A direction policy while the engine works on it; shared by all subjects of the same rules. */
export interface DirectionState extends SelectorUser {
  readonly id: DirectionId;
  readonly direction: Direction;
  readonly rules: DirectionRules;
  compiled: CompiledDirection;
  /** The L7 sets in its tables. */
  handles: ReadonlySet<SetHandle>;
  sets: readonly L7SetId[];
  /** Port names whose meaning depends on the peers. */
  readonly names: readonly string[];
  /** How many subjects have it. */
  users: number;
  published: DirectionPolicy | null;
  /** Identities, by index, that came to or left selectors. */
  readonly moved: Map<number, Selector[]>;
}

/** What a direction of a subject is made from. */
export interface DirectionSource {
  readonly rules: Iterable<Rule>;
  readonly direction: Direction;
  readonly alwaysEnforced: boolean;
  /** The subject is the local node itself. */
  readonly host: boolean;
  readonly namedPorts: readonly NamedPort[];
}

/** Direction policies by what their rules say. */
export interface DirectionRegistry {
  /** The state for these rules, with one user more; null when nothing restricts the direction. */
  acquire(source: DirectionSource): DirectionState | null;
  release(state: DirectionState): void;
  /** States whose rules use this name for ports of peers. */
  naming(name: string): readonly DirectionState[];
  /** Brings moved identities to their places and gives what changed; `onMove` hears of each. */
  takeChanges(onMove: (state: DirectionState, index: number) => void): EngineDelta['directions'];
  published(): ReadonlyMap<DirectionId, DirectionPolicy>;
}

interface Parts extends CompileParts {
  readonly table: IdentityTable;
  readonly selectors: SelectorCache;
  readonly facts: PeerFactStore;
  readonly grants: GrantNumbers;
  readonly allowLocalhost: boolean;
}

const protocols = [6, 17, 132] as const;

export function createDirectionRegistry(parts: Parts): DirectionRegistry {
  const { table, selectors, facts, grants: grantNumbers, sets, tables } = parts;
  const states = new Map<string, DirectionState>();
  const keys = new Map<DirectionState, string>();
  const published = new Map<DirectionId, DirectionPolicy>();
  const dirty = new Set<DirectionState>();

  /** What port names mean to these grants: of the subject for ingress, of its peers for egress. */
  function portsText({ direction, namedPorts }: DirectionSource, names: readonly string[]): string {
    return names
      .flatMap((name) =>
        protocols.map((protocol) => {
          const ports =
            direction === 'ingress'
              ? portsNamed(namedPorts, name, protocol)
              : [...facts.peerPorts(name, protocol)];
          return `${name}/${protocol}=${ports.join(',')}`;
        }),
      )
      .join(' ');
  }

  function make(
    id: DirectionId,
    { direction, host, namedPorts }: DirectionSource,
    counted: DirectionGrants,
    names: readonly string[],
  ): DirectionState {
    const held = new Set<Selector>();
    const rules = collectDirection(counted, {
      direction,
      allowLocalhost: parts.allowLocalhost,
      host,
      namedPorts,
      peerPorts: facts.peerPorts,
      acquire(peer: Exclude<Peer, { kind: 'any' }>, port) {
        const selector = selectors.acquire(peer, port);
        // One reference for each selector of the direction, however often it is asked for.
        if (held.has(selector)) selectors.release(selector);
        held.add(selector);
        return selector;
      },
    });
    const compiled = compileDirection(rules, direction, parts, table.capacity());
    const state: DirectionState = {
      id,
      direction,
      rules,
      compiled,
      handles: new Set(),
      sets: [],
      names: direction === 'egress' ? names : [],
      users: 0,
      published: null,
      moved: new Map(),
      selectionChanges(selector, index) {
        const flipped = state.moved.get(index);
        if (flipped === undefined) state.moved.set(index, [selector]);
        else flipped.push(selector);
        dirty.add(state);
      },
    };
    moveUser(state, null, rules);
    replaceSets(state, setsOf(compiled));
    return state;
  }

  function replaceSets(state: DirectionState, after: ReadonlySet<SetHandle>): void {
    for (const handle of after) if (!state.handles.has(handle)) sets.acquire(handle);
    for (const handle of state.handles) if (!after.has(handle)) sets.release(handle);
    state.handles = after;
    state.sets = Array.from(after, ({ set }) => set.id);
  }

  function drop(state: DirectionState): void {
    const key = keys.get(state);
    if (key !== undefined) states.delete(key);
    keys.delete(state);
    moveUser(state, state.rules, null);
    for (const { selector } of state.rules.own) selectors.release(selector);
    replaceSets(state, new Set());
  }

  /** Takes the moves up to now; null when they come to nothing. */
  function move(
    state: DirectionState,
    onMove: (state: DirectionState, index: number) => void,
  ): DirectionChange | null {
    const moved = new Map<Identity, MovedPeer>();
    let setsChanged = false;
    for (const [index, flipped] of state.moved) {
      const step = moveIdentity(state.compiled, state.rules, index, flipped, state.direction, parts);
      if (step === null) continue;
      state.compiled = step.compiled;
      if (step.setsChanged) setsChanged = true;
      if (step.before === step.after) continue;
      onMove(state, index);
      const peer = table.at(index)?.identity;
      if (peer === undefined) continue;
      const own = (item: PortTable) => (item === state.compiled.any ? null : item);
      // An identity with new labels leaves at one index and comes at another.
      const before = moved.has(peer) ? (moved.get(peer)?.before ?? null) : own(step.before);
      const after = own(step.after);
      if (before === after) moved.delete(peer);
      else moved.set(peer, { peer, before, after });
    }
    state.moved.clear();
    if (setsChanged) replaceSets(state, setsOf(state.compiled));
    const before = state.published;
    if (before === null || moved.size === 0) return null;
    return { before, after: publish(state), moved: [...moved.values()] };
  }

  function publish(state: DirectionState): DirectionPolicy {
    const policy = createDirectionPolicy(
      { id: state.id, direction: state.direction, sets: state.sets },
      state.compiled,
      table.numbers(),
    );
    state.published = policy;
    published.set(state.id, policy);
    return policy;
  }

  function* usedTables() {
    for (const { compiled } of states.values()) {
      yield compiled.any;
      for (const { table: used } of compiled.groups) yield used;
    }
  }

  return {
    acquire(source) {
      const counted = grantsThatCount(source.rules, source.direction, source.alwaysEnforced);
      if (counted === null) return null;
      const names = portNames(counted.grants);
      const head = `${source.direction} ${counted.defaultDeny} ${source.host} ${portsText(source, names)}`;
      const key = `${head} ${grantNumbers.list(counted.grants).join()}`;
      let state = states.get(key);
      if (state === undefined) {
        const texts = [...new Set(counted.grants.map((grant) => grant.key))].sort();
        state = make(digest([head, ...texts]) as DirectionId, source, counted, names);
        states.set(key, state);
        keys.set(state, key);
        dirty.add(state);
      }
      state.users += 1;
      return state;
    },
    release(state) {
      state.users -= 1;
      if (state.users === 0) dirty.add(state);
    },
    naming: (name) => [...states.values()].filter(({ names }) => names.includes(name)),
    takeChanges(onMove) {
      const added: DirectionPolicy[] = [];
      const changed: DirectionChange[] = [];
      const removed: DirectionId[] = [];
      for (const state of dirty) {
        if (state.users === 0) {
          drop(state);
          if (published.get(state.id) === state.published && published.delete(state.id))
            removed.push(state.id);
          continue;
        }
        const change = move(state, onMove);
        if (change !== null) changed.push(change);
        else if (state.published === null) added.push(publish(state));
      }
      dirty.clear();
      tables.sweep(usedTables);
      grantNumbers.sweep();
      return { added, changed, removed };
    },
    published: () => published,
  };
}
