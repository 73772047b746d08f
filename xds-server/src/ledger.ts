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

/** The search for what a client refuses: most streams never see one. */
interface Search {
  readonly groups: (readonly string[])[];
  readonly suspects: Map<string, Held>;
  readonly culprits: Map<string, Quarantined>;
  /** Culprits that are tried again. */
  readonly probation: Set<string>;
}

function newSearch(): Search {
  return { groups: [], suspects: new Map(), culprits: new Map(), probation: new Set() };
}

/** What stands for these until something is put in: shared by all, never written to. */
const noSearch = newSearch();
const noNames = new Map<string, Held>();
const noneReleased: Accepted = Object.freeze({ released: [] });
const noneWithout: ReadonlySet<string> = new Set();

function own(names: Map<string, Held>): Map<string, Held> {
  return names === noNames ? new Map() : names;
}

export function createLedger(view: LedgerView): Ledger {
  return new StreamLedger(view);
}

class StreamLedger implements Ledger {
  private readonly view: LedgerView;
  private wanted = noSubscription;
  private fresh: Fresh | null = null;
  private out: Unanswered | null = null;
  private askedNames = noNames;
  private sets = noNames;
  private removals = noNames;
  private search = noSearch;
  private suspectsLast = false;

  constructor(view: LedgerView) {
    this.view = view;
  }

  private startSearch(): void {
    if (this.search === noSearch) this.search = newSearch();
  }

  private forget(name: string): void {
    this.askedNames.delete(name);
    this.sets.delete(name);
    this.removals.delete(name);
    this.search.suspects.delete(name);
    this.search.culprits.delete(name);
    this.search.probation.delete(name);
  }

  /** Notes that the client holds `held`, and what follows from the view's present state. */
  private place(name: string, held: Held): void {
    this.askedNames.delete(name);
    this.sets.delete(name);
    this.removals.delete(name);
    const target = this.view.lookup(name);
    if (held.kind === 'asked') {
      if (target !== undefined && this.view.poisoned(target)) this.suspect([[name]], () => held);
      else if (target !== undefined || this.view.tellsRemoval)
        this.askedNames = own(this.askedNames).set(name, held);
    } else if (holds(held, target)) return;
    else if (target === undefined) {
      if (this.view.tellsRemoval) this.removals = own(this.removals).set(name, held);
    } else if (this.view.poisoned(target)) this.suspect([[name]], () => held);
    else this.sets = own(this.sets).set(name, held);
  }

  private suspect(parts: readonly (readonly string[])[], held: (name: string) => Held): void {
    this.startSearch();
    for (const name of parts.flat()) {
      const before = held(name);
      this.forget(name);
      this.search.suspects.set(name, before);
    }
    this.search.groups.push(...parts);
  }

  private pendingHeld(name: string): Held | undefined {
    return (
      this.askedNames.get(name) ??
      this.sets.get(name) ??
      this.removals.get(name) ??
      this.search.suspects.get(name)
    );
  }

  private inBatch(batch: Batch, name: string): boolean {
    if (batch.kind === 'empty') return false;
    return batch.kind === 'fresh'
      ? batch.chunk.names().has(name) && !batch.without.has(name)
      : batch.before.has(name);
  }

  private beforeOf(batch: Batch): ReadonlyMap<string, Held> {
    if (batch.kind === 'empty') return new Map();
    if (batch.kind !== 'fresh') return batch.before;
    const names = [...batch.chunk.names()].filter((name) => !batch.without.has(name));
    return new Map(names.map((name) => [name, nothing]));
  }

  private wildcardBegins({ versions, everything }: Claim): void {
    if (!versions.some && this.wanted.names.size === 0 && this.out === null) {
      this.fresh = { claim: everything, chunks: null, next: 0 };
      return;
    }
    const listing = this.view.listing();
    const { current, others } = versions.against(listing);
    listing.stored.forEach(({ resource }, index) => {
      if (
        current[index] === 1 ||
        this.pendingHeld(resource.name) !== undefined ||
        this.search.culprits.has(resource.name)
      )
        return;
      const version = others.get(resource.name);
      this.place(resource.name, version === undefined ? nothing : { kind: 'version', version });
    });
    for (const [name, version] of others) {
      if (this.view.lookup(name) === undefined) this.place(name, { kind: 'version', version });
    }
  }

  subscribe(change: SubscriptionChange, claim: Claim): void {
    this.wanted = change.next;
    for (const name of change.dropped) this.forget(name);
    if (change.wildcardEnded) this.endWildcard();
    if (change.wildcardBegan) this.wildcardBegins(claim);
    if (change.asked.length === 0) return;
    const claimed = claim.versions.all();
    for (const name of change.asked) this.ask(name, claimed.get(name));
  }

  private ask(name: string, knownVersion: string | undefined): void {
    if (knownVersion !== undefined) {
      this.place(name, { kind: 'version', version: knownVersion });
      return;
    }
    if (!this.search.culprits.has(name) && !this.search.suspects.has(name)) this.place(name, asked);
  }

  private endWildcard(): void {
    this.fresh = null;
    for (const map of [
      this.askedNames,
      this.sets,
      this.removals,
      this.search.suspects,
      this.search.culprits,
    ]) {
      for (const name of [...map.keys()]) if (!this.wanted.names.has(name)) this.forget(name);
    }
  }

  changed(name: string, before: Stored | undefined): void {
    if (!includes(this.wanted, name)) return;
    if (this.fresh?.chunks === null && this.pendingHeld(name) === undefined) return;
    const kept = this.search.culprits.get(name);
    if (kept !== undefined) {
      this.search.culprits.delete(name);
      if (holds(kept.held, this.view.lookup(name))) return;
      this.suspect([[name]], () => kept.held);
      this.search.probation.add(name);
    } else if (this.search.suspects.has(name)) return;
    else if (this.out !== null && this.inBatch(this.out.batch, name)) {
      this.out.changed ??= new Map();
      if (!this.out.changed.has(name)) this.out.changed.set(name, before ?? nothing);
    } else this.place(name, this.pendingHeld(name) ?? (this.fresh === null ? (before ?? nothing) : unknown));
  }

  /** What is gone now may have been in the way: a listener that takes over another one's address, say. */
  private retryQuarantined(): void {
    for (const { name, held, reason } of [...this.search.culprits.values()]) {
      if (reason.kind !== 'nack') continue;
      this.suspect([[name]], () => held);
      this.search.probation.add(name);
    }
  }

  private takeFresh(load: Fresh): Batch | null {
    if (load.chunks === null) {
      const current = load.claim !== '' && load.claim === this.view.version();
      load.chunks = current ? [] : this.view.chunks();
      if (load.chunks.length === 0 && !current && this.askedNames.size === 0) {
        this.fresh = null;
        return { kind: 'empty' };
      }
    }
    const chunk = load.chunks[load.next];
    load.next += 1;
    if (load.next >= load.chunks.length) this.fresh = null;
    return chunk === undefined ? null : { kind: 'fresh', chunk, without: this.passedOver(chunk) };
  }

  /** Names of a chunk that do not go with it: newer states follow, and known culprits go alone. */
  private passedOver(chunk: Chunk): ReadonlySet<string> {
    const waiting = this.askedNames.size + this.sets.size + this.removals.size + this.search.suspects.size;
    if (waiting === 0 && !this.view.anyPoisoned()) return noneWithout;
    const without = new Set<string>();
    if (waiting > 0) {
      for (const name of chunk.names()) if (this.pendingHeld(name) !== undefined) without.add(name);
    }
    if (this.view.anyPoisoned() && chunk.stored.length > 1) {
      for (const item of chunk.stored) {
        const { name } = item.resource;
        if (without.has(name) || !this.view.poisoned(item)) continue;
        without.add(name);
        this.suspect([[name]], () => nothing);
      }
    }
    return without;
  }

  private takeGroup(): Batch | null {
    for (let names = this.search.groups.shift(); names !== undefined; names = this.search.groups.shift()) {
      const before = new Map<string, Held>();
      for (const name of names) {
        const held = this.search.suspects.get(name);
        this.search.suspects.delete(name);
        if (held === undefined) continue;
        // A culprit's client has what it held; of other suspects nothing is known, so they go again.
        const reverted = this.search.probation.has(name) && holds(held, this.view.lookup(name));
        if (reverted) this.search.probation.delete(name);
        else before.set(name, held);
      }
      if (before.size > 0) return { kind: 'suspects', before };
    }
    return null;
  }

  private takeSets(allowed: boolean): Batch | null {
    if (this.askedNames.size === 0 && !(allowed && this.sets.size > 0)) return null;
    const before = this.askedNames.size > 0 ? this.askedNames : this.sets;
    if (this.askedNames.size > 0) {
      this.askedNames = noNames;
      if (!allowed) return { kind: 'names', before };
      for (const [name, held] of this.sets) before.set(name, held);
    }
    this.sets = noNames;
    return { kind: 'names', before };
  }

  take(allow: { readonly sets: boolean; readonly removals: boolean }): Batch | null {
    const load = this.fresh === null ? null : this.takeFresh(this.fresh);
    if (load !== null) return load;
    const group = this.suspectsLast ? null : this.takeGroup();
    this.suspectsLast = group !== null;
    const batch = group ?? this.takeSets(allow.sets) ?? this.takeGroup();
    if (batch !== null) return batch;
    if (!allow.removals || this.removals.size === 0) return null;
    const before = this.removals;
    this.removals = noNames;
    return { kind: 'removals', before };
  }

  subscription(): Subscription {
    return this.wanted;
  }

  askAgain(names: Iterable<string>): void {
    for (const name of names) if (includes(this.wanted, name)) this.ask(name, undefined);
  }

  unsent(): Unsent {
    const urgent = this.fresh !== null || this.askedNames.size > 0 || this.search.groups.length > 0;
    let setsLater = false;
    let removalsLater = false;
    const changed = this.out?.changed ?? null;
    if (changed !== null) {
      for (const name of changed.keys()) {
        if (this.view.lookup(name) === undefined) removalsLater = true;
        else setsLater = true;
      }
    }
    return {
      sets: urgent || this.sets.size > 0 || setsLater,
      removals: this.removals.size > 0 || removalsLater,
      urgent,
    };
  }

  unanswered(): boolean {
    return this.out !== null;
  }

  putBack(batch: Batch, names: readonly string[]): void {
    const before = this.beforeOf(batch);
    if (batch.kind === 'suspects') this.suspect([names], (name) => before.get(name) ?? unknown);
    else for (const name of names) this.place(name, before.get(name) ?? unknown);
  }

  sent(batch: Batch): void {
    this.out = { batch, changed: null };
  }

  accepted(): Accepted {
    const answered = this.out;
    this.out = null;
    if (answered === null) return noneReleased;
    if (answered.changed !== null)
      for (const [name, held] of answered.changed) if (includes(this.wanted, name)) this.place(name, held);
    if (answered.batch.kind === 'removals') this.retryQuarantined();
    if (this.search.probation.size === 0) return noneReleased;
    const released = [...this.search.probation].filter(
      (name) => this.inBatch(answered.batch, name) && this.search.probation.delete(name),
    );
    return { released };
  }

  refused(detail: string): Refused {
    const answered = this.out;
    this.out = null;
    const before = answered === null ? new Map<string, Held>() : this.beforeOf(answered.batch);
    const names = [...before.keys()].filter(
      (name) => includes(this.wanted, name) && !this.search.suspects.has(name),
    );
    const [only] = names;
    if (only !== undefined && before.size === 1 && answered?.changed?.has(only) !== true) {
      return {
        kind: 'culprit',
        culprit: this.quarantine(only, before.get(only) ?? unknown, { kind: 'nack', detail }),
      };
    }
    const isPoisoned = (name: string): boolean => {
      const item = this.view.lookup(name);
      return item !== undefined && this.view.poisoned(item);
    };
    this.suspect(partition(names, detail, isPoisoned), (name) => before.get(name) ?? unknown);
    this.suspectsLast = false;
    return { kind: 'searching', suspects: names.length };
  }

  state(name: string): NameState {
    if (!includes(this.wanted, name)) return { kind: 'not-subscribed' };
    const quarantined = this.search.culprits.get(name);
    if (quarantined !== undefined) return { kind: 'refused', quarantined };
    if (this.out !== null && this.inBatch(this.out.batch, name)) {
      const { batch } = this.out;
      const held = batch.kind === 'fresh' || batch.kind === 'empty' ? nothing : batch.before.get(name);
      return { kind: this.out.changed?.has(name) === true ? 'waiting' : 'sent', held: held ?? unknown };
    }
    const held = this.pendingHeld(name) ?? (this.fresh === null ? undefined : nothing);
    return held === undefined
      ? { kind: 'in-force', target: this.view.lookup(name) }
      : { kind: 'waiting', held };
  }

  quarantined(): ReadonlyMap<string, Quarantined> {
    return this.search.culprits;
  }

  exceptions(batch: Batch): ReadonlyMap<string, Held> {
    const kept = new Map([...this.sets, ...this.removals, ...this.search.suspects]);
    for (const { name, held } of this.search.culprits.values()) kept.set(name, held);
    if (kept.size > 0) for (const name of this.beforeOf(batch).keys()) kept.delete(name);
    return kept;
  }

  quarantine(name: string, held: Held, reason: RefusalReason): Quarantined {
    this.startSearch();
    this.forget(name);
    const quarantined = Object.freeze({ name, target: this.view.lookup(name), held, reason });
    this.search.culprits.set(name, quarantined);
    return quarantined;
  }
}
