import type { Claims } from './claims.ts';
import { asked, type Held, holds, nothing, unknown } from './held.ts';
import type { RefusalReason } from './in-force.ts';
import type { Listing } from './listing.ts';
import type { Stored } from './stored.ts';
import { includes, noSubscription, type Subscription, type SubscriptionChange } from './subscription.ts';
import { partition } from './suspects.ts';
import type { Chunk } from './view-chunks.ts';

/**
 * What one stream's client has of one type, and what it still has to get. A name that stands nowhere
 * here is in force at the view's current state; so a client that is up to date costs next to nothing.
 * Each name stands in at most one of: `asked`, `sets`, `removals`, a suspect group, quarantine; it may
 * stand in the unanswered response besides.
 */
export interface Ledger {
  readonly subscription: () => Subscription;
  readonly subscribe: (change: SubscriptionChange, has: Claim) => void;
  /** Sends names once more, of those that are subscribed. */
  readonly askAgain: (names: Iterable<string>) => void;
  /** The view changed under this name; `before` is what it showed. */
  readonly changed: (name: string, before: Stored | undefined) => void;
  readonly unsent: () => Unsent;
  /** Whether a response is out without an answer. */
  readonly unanswered: () => boolean;
  /** The next thing to test at the client, or null. Removals only when the order of types allows it. */
  readonly take: (allow: { readonly sets: boolean; readonly removals: boolean }) => Batch | null;
  /** Puts names of a batch back that did not fit. */
  readonly putBack: (batch: Batch, names: readonly string[]) => void;
  /** The batch is on its way; the one unanswered response of the type. */
  readonly sent: (batch: Batch) => void;
  readonly accepted: () => Accepted;
  readonly refused: (detail: string) => Refused;
  /** Holds one resource back until it changes. */
  readonly quarantine: (name: string, held: Held, reason: RefusalReason) => Quarantined;
  readonly state: (name: string) => NameState;
  readonly quarantined: () => ReadonlyMap<string, Quarantined>;
  /** Names that the client has, or gets later, at another state than the view's: name to what it keeps. */
  readonly exceptions: (batch: Batch) => ReadonlyMap<string, Held>;
}

/** What a client says it has from an earlier stream. */
export interface Claim {
  /** Delta: by name. */
  readonly versions: Claims;
  /** State-of-the-world: the version of everything, or an empty string. */
  readonly everything: string;
}

export interface Unsent {
  readonly sets: boolean;
  readonly removals: boolean;
  /** Anything that may go whatever the other types do. */
  readonly urgent: boolean;
}

/** What one response puts to the test. */
export type Batch =
  /** A part of everything, for a client that has nothing; shared by all such clients. */
  | { readonly kind: 'fresh'; readonly chunk: Chunk; readonly without: ReadonlySet<string> }
  /** Names with what the client held before. */
  | { readonly kind: 'names' | 'suspects' | 'removals'; readonly before: ReadonlyMap<string, Held> }
  /** Tells a wildcard client that there is nothing, so that it need not wait. */
  | { readonly kind: 'empty' };

export interface Quarantined {
  readonly name: string;
  /** The refused state; undefined: its removal. */
  readonly target: Stored | undefined;
  /** What stays in force. */
  readonly held: Held;
  readonly reason: RefusalReason;
}

export interface Accepted {
  /** Names that had been held back. */
  readonly released: readonly string[];
}

export type Refused =
  | { readonly kind: 'culprit'; readonly culprit: Quarantined }
  | { readonly kind: 'searching'; readonly suspects: number };

export type NameState =
  | { readonly kind: 'not-subscribed' }
  | { readonly kind: 'in-force'; readonly target: Stored | undefined }
  | { readonly kind: 'waiting' | 'sent'; readonly held: Held }
  | { readonly kind: 'refused'; readonly quarantined: Quarantined };

/** What the ledger reads of the world around it. */
export interface LedgerView {
  readonly lookup: (name: string) => Stored | undefined;
  readonly listing: () => Listing;
  readonly chunks: () => readonly Chunk[];
  /** The version that `Claim.everything` would have, were the client up to date. */
  readonly version: () => string;
  /** Whether some client has refused this very resource. */
  readonly poisoned: (item: Stored) => boolean;
  readonly anyPoisoned: () => boolean;
  /** Whether the protocol can say that a resource of this type is gone. */
  readonly tellsRemoval: boolean;
}

/** A first load. Its chunks are made when the first one goes, so that what changes until then costs nothing. */
interface Fresh {
  readonly claim: string;
  chunks: readonly Chunk[] | null;
  next: number;
}

interface Unanswered {
  readonly batch: Batch;
  /** Names that changed since, with what was sent; made when the first one does. */
  changed: Map<string, Held> | null;
}

export function createLedger(view: LedgerView): Ledger {
  let subscription = noSubscription;
  let fresh: Fresh | null = null;
  let unanswered: Unanswered | null = null;
  let askedNames = new Map<string, Held>();
  let sets = new Map<string, Held>();
  let removals = new Map<string, Held>();
  const groups: (readonly string[])[] = [];
  const suspects = new Map<string, Held>();
  const quarantine = new Map<string, Quarantined>();
  const probation = new Set<string>();
  let suspectsLast = false;

  function forget(name: string): void {
    askedNames.delete(name);
    sets.delete(name);
    removals.delete(name);
    suspects.delete(name);
    quarantine.delete(name);
    probation.delete(name);
  }

  /** Notes that the client holds `held`, and what follows from the view's present state. */
  function place(name: string, held: Held): void {
    askedNames.delete(name);
    sets.delete(name);
    removals.delete(name);
    const target = view.lookup(name);
    if (held.kind === 'asked') {
      if (target !== undefined && view.poisoned(target)) suspect([[name]], () => held);
      else if (target !== undefined || view.tellsRemoval) askedNames.set(name, held);
    } else if (holds(held, target)) return;
    else if (target === undefined) {
      if (view.tellsRemoval) removals.set(name, held);
    } else if (view.poisoned(target)) suspect([[name]], () => held);
    else sets.set(name, held);
  }

  function suspect(parts: readonly (readonly string[])[], held: (name: string) => Held): void {
    for (const name of parts.flat()) {
      const before = held(name);
      forget(name);
      suspects.set(name, before);
    }
    groups.push(...parts);
  }

  function pendingHeld(name: string): Held | undefined {
    return askedNames.get(name) ?? sets.get(name) ?? removals.get(name) ?? suspects.get(name);
  }

  function inBatch(batch: Batch, name: string): boolean {
    if (batch.kind === 'empty') return false;
    return batch.kind === 'fresh'
      ? batch.chunk.names().has(name) && !batch.without.has(name)
      : batch.before.has(name);
  }

  function beforeOf(batch: Batch): ReadonlyMap<string, Held> {
    if (batch.kind === 'empty') return new Map();
    if (batch.kind !== 'fresh') return batch.before;
    const names = [...batch.chunk.names()].filter((name) => !batch.without.has(name));
    return new Map(names.map((name) => [name, nothing]));
  }

  function wildcardBegins({ versions, everything }: Claim): void {
    if (!versions.some && subscription.names.size === 0 && unanswered === null) {
      fresh = { claim: everything, chunks: null, next: 0 };
      return;
    }
    const listing = view.listing();
    const { current, others } = versions.against(listing);
    listing.stored.forEach(({ resource }, index) => {
      if (current[index] === 1 || pendingHeld(resource.name) !== undefined || quarantine.has(resource.name))
        return;
      const version = others.get(resource.name);
      place(resource.name, version === undefined ? nothing : { kind: 'version', version });
    });
    for (const [name, version] of others) {
      if (view.lookup(name) === undefined) place(name, { kind: 'version', version });
    }
  }

  function subscribe(change: SubscriptionChange, claim: Claim): void {
    subscription = change.next;
    for (const name of change.dropped) forget(name);
    if (change.wildcardEnded) endWildcard();
    if (change.wildcardBegan) wildcardBegins(claim);
    if (change.asked.length === 0) return;
    const claimed = claim.versions.all();
    for (const name of change.asked) ask(name, claimed.get(name));
  }

  function ask(name: string, knownVersion: string | undefined): void {
    if (knownVersion !== undefined) {
      place(name, { kind: 'version', version: knownVersion });
      return;
    }
    if (!quarantine.has(name) && !suspects.has(name)) place(name, asked);
  }

  function endWildcard(): void {
    fresh = null;
    for (const map of [askedNames, sets, removals, suspects, quarantine]) {
      for (const name of [...map.keys()]) if (!subscription.names.has(name)) forget(name);
    }
  }

  function changed(name: string, before: Stored | undefined): void {
    if (!includes(subscription, name)) return;
    if (fresh?.chunks === null && pendingHeld(name) === undefined) return;
    const kept = quarantine.get(name);
    if (kept !== undefined) {
      quarantine.delete(name);
      if (holds(kept.held, view.lookup(name))) return;
      suspect([[name]], () => kept.held);
      probation.add(name);
    } else if (suspects.has(name)) return;
    else if (unanswered !== null && inBatch(unanswered.batch, name)) {
      unanswered.changed ??= new Map();
      if (!unanswered.changed.has(name)) unanswered.changed.set(name, before ?? nothing);
    } else place(name, pendingHeld(name) ?? (fresh === null ? (before ?? nothing) : unknown));
  }

  /** What is gone now may have been in the way: a listener that takes over another one's address, say. */
  function retryQuarantined(): void {
    for (const { name, held, reason } of [...quarantine.values()]) {
      if (reason.kind !== 'nack') continue;
      suspect([[name]], () => held);
      probation.add(name);
    }
  }

  function takeFresh(load: Fresh): Batch | null {
    if (load.chunks === null) {
      const current = load.claim !== '' && load.claim === view.version();
      load.chunks = current ? [] : view.chunks();
      if (load.chunks.length === 0 && !current && askedNames.size === 0) {
        fresh = null;
        return { kind: 'empty' };
      }
    }
    const chunk = load.chunks[load.next];
    load.next += 1;
    if (load.next >= load.chunks.length) fresh = null;
    return chunk === undefined ? null : { kind: 'fresh', chunk, without: passedOver(chunk) };
  }

  /** Names of a chunk that do not go with it: newer states follow, and known culprits go alone. */
  function passedOver(chunk: Chunk): ReadonlySet<string> {
    const without = new Set<string>();
    if (askedNames.size + sets.size + removals.size + suspects.size > 0) {
      for (const name of chunk.names()) if (pendingHeld(name) !== undefined) without.add(name);
    }
    if (view.anyPoisoned() && chunk.stored.length > 1) {
      for (const item of chunk.stored) {
        const { name } = item.resource;
        if (without.has(name) || !view.poisoned(item)) continue;
        without.add(name);
        suspect([[name]], () => nothing);
      }
    }
    return without;
  }

  function takeGroup(): Batch | null {
    for (let names = groups.shift(); names !== undefined; names = groups.shift()) {
      const before = new Map<string, Held>();
      for (const name of names) {
        const held = suspects.get(name);
        suspects.delete(name);
        if (held === undefined) continue;
        // A culprit's client has what it held; of other suspects nothing is known, so they go again.
        const reverted = probation.has(name) && holds(held, view.lookup(name));
        if (reverted) probation.delete(name);
        else before.set(name, held);
      }
      if (before.size > 0) return { kind: 'suspects', before };
    }
    return null;
  }

  function takeSets(allowed: boolean): Batch | null {
    if (askedNames.size === 0 && !(allowed && sets.size > 0)) return null;
    const before = askedNames.size > 0 ? askedNames : sets;
    if (askedNames.size > 0) {
      askedNames = new Map();
      if (!allowed) return { kind: 'names', before };
      for (const [name, held] of sets) before.set(name, held);
    }
    sets = new Map();
    return { kind: 'names', before };
  }

  function take(allow: { readonly sets: boolean; readonly removals: boolean }): Batch | null {
    const load = fresh === null ? null : takeFresh(fresh);
    if (load !== null) return load;
    const group = suspectsLast ? null : takeGroup();
    suspectsLast = group !== null;
    const batch = group ?? takeSets(allow.sets) ?? takeGroup();
    if (batch !== null) return batch;
    if (!allow.removals || removals.size === 0) return null;
    const before = removals;
    removals = new Map();
    return { kind: 'removals', before };
  }

  return {
    subscription: () => subscription,
    subscribe,
    askAgain: (names) => {
      for (const name of names) if (includes(subscription, name)) ask(name, undefined);
    },
    changed,
    unsent: () => {
      const urgent = fresh !== null || askedNames.size > 0 || groups.length > 0;
      let setsLater = false;
      let removalsLater = false;
      for (const name of unanswered?.changed?.keys() ?? []) {
        if (view.lookup(name) === undefined) removalsLater = true;
        else setsLater = true;
      }
      return {
        sets: urgent || sets.size > 0 || setsLater,
        removals: removals.size > 0 || removalsLater,
        urgent,
      };
    },
    unanswered: () => unanswered !== null,
    take,
    putBack: (batch, names) => {
      const before = beforeOf(batch);
      if (batch.kind === 'suspects') suspect([names], (name) => before.get(name) ?? unknown);
      else for (const name of names) place(name, before.get(name) ?? unknown);
    },
    sent: (batch) => {
      unanswered = { batch, changed: null };
    },
    accepted: () => {
      const answered = unanswered;
      unanswered = null;
      if (answered === null) return { released: [] };
      for (const [name, held] of answered.changed ?? []) if (includes(subscription, name)) place(name, held);
      if (answered.batch.kind === 'removals') retryQuarantined();
      if (probation.size === 0) return { released: [] };
      const released = [...probation].filter(
        (name) => inBatch(answered.batch, name) && probation.delete(name),
      );
      return { released };
    },
    refused: (detail) => {
      const answered = unanswered;
      unanswered = null;
      const before = answered === null ? new Map<string, Held>() : beforeOf(answered.batch);
      const names = [...before.keys()].filter((name) => includes(subscription, name) && !suspects.has(name));
      const [only] = names;
      if (only !== undefined && before.size === 1 && answered?.changed?.has(only) !== true) {
        return {
          kind: 'culprit',
          culprit: hold(only, before.get(only) ?? unknown, { kind: 'nack', detail }),
        };
      }
      const isPoisoned = (name: string): boolean => {
        const item = view.lookup(name);
        return item !== undefined && view.poisoned(item);
      };
      suspect(partition(names, detail, isPoisoned), (name) => before.get(name) ?? unknown);
      suspectsLast = false;
      return { kind: 'searching', suspects: names.length };
    },
    quarantine: hold,
    state: (name) => {
      if (!includes(subscription, name)) return { kind: 'not-subscribed' };
      const quarantined = quarantine.get(name);
      if (quarantined !== undefined) return { kind: 'refused', quarantined };
      if (unanswered !== null && inBatch(unanswered.batch, name)) {
        const { batch } = unanswered;
        const held = batch.kind === 'fresh' || batch.kind === 'empty' ? nothing : batch.before.get(name);
        return { kind: unanswered.changed?.has(name) === true ? 'waiting' : 'sent', held: held ?? unknown };
      }
      const held = pendingHeld(name) ?? (fresh === null ? undefined : nothing);
      return held === undefined ? { kind: 'in-force', target: view.lookup(name) } : { kind: 'waiting', held };
    },
    quarantined: () => quarantine,
    exceptions: (batch) => {
      const kept = new Map([...sets, ...removals, ...suspects]);
      for (const { name, held } of quarantine.values()) kept.set(name, held);
      if (kept.size > 0) for (const name of beforeOf(batch).keys()) kept.delete(name);
      return kept;
    },
  };

  function hold(name: string, held: Held, reason: RefusalReason): Quarantined {
    forget(name);
    const quarantined = Object.freeze({ name, target: view.lookup(name), held, reason });
    quarantine.set(name, quarantined);
    return quarantined;
  }
}
