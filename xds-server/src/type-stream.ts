import type { ClientNode } from './client.ts';
import { type Composed, composeAll, composePart } from './compose.ts';
import { type ClientStream, type Core, poisonKey } from './core.ts';
import type { Variant } from './events.ts';
import { type Batch, createLedger, type Ledger, type LedgerView } from './ledger.ts';
import type { Listing } from './listing.ts';
import type { Progress } from './order.ts';
import { resourceType } from './resource-types.ts';
import type { Stored } from './stored.ts';
import type { View, Watcher } from './view.ts';
import type { Chunk } from './view-chunks.ts';

/** Of a type that waits for no answer. */
export const noContent: Pick<Composed, 'stored' | 'removed'> = Object.freeze({ stored: [], removed: [] });

/** Client features that say so (xds_protocol, "TTL"). */
const features = {
  delta: 'xds.config.supports-resource-ttl',
  sotw: 'xds.config.supports-resource-in-sotw',
} as const satisfies Record<Variant, string>;

/** Types without a place in the order come last; they wait for nobody. */
export const unranked = 99;

/** One resource type on one stream. */
export class TypeStream implements LedgerView, Watcher {
  readonly typeUrl: string;
  readonly rank: number;
  /** State-of-the-world answers that carry everything. */
  readonly fullState: boolean;
  /** Whether the client takes resources that expire. */
  readonly ttl: boolean;
  readonly tellsRemoval: boolean;
  readonly ledger: Ledger;
  /** The newest response on this stream, answered or not. */
  nonce = '';
  nonceSerial = 0;
  sentAtMs = 0;
  /** What the unanswered response holds. */
  content: Pick<Composed, 'stored' | 'removed'> = noContent;
  /** State-of-the-world: the list of names in the last request. */
  namesKey: Uint8Array | null = null;
  /** Since when another type keeps this one waiting. */
  blockedSinceMs: number | null = null;
  /** Of the next renewal of what expires. */
  cancelHeartbeat: (() => void) | null = null;
  heartbeatDue = false;
  private readonly core: Core;
  private readonly view: View;
  private readonly variant: Variant;
  private readonly stream: Pick<ClientStream, 'wake'>;

  constructor(
    core: Core,
    node: ClientNode,
    view: View,
    typeUrl: string,
    variant: Variant,
    stream: Pick<ClientStream, 'wake'>,
  ) {
    const { rank, fullState } = resourceType(typeUrl);
    this.core = core;
    this.view = view;
    this.typeUrl = typeUrl;
    this.variant = variant;
    this.stream = stream;
    this.rank = rank ?? unranked;
    this.fullState = variant === 'sotw' && fullState;
    this.ttl = takesTtl(node, variant);
    this.tellsRemoval = variant === 'delta' || this.fullState;
    this.ledger = createLedger(this);
    view.watch(typeUrl, this);
  }

  close(): void {
    this.view.unwatch(this.typeUrl, this);
    this.cancelHeartbeat?.();
  }

  changed(name: string, before: Stored | undefined): void {
    this.ledger.changed(name, before);
    this.stream.wake();
  }

  /** Turns what is to be tested into a response. */
  compose(batch: Batch): Composed {
    const { view, typeUrl } = this;
    const { responseBytes } = this.core.limits;
    return this.fullState
      ? composeAll(view, typeUrl, responseBytes, batch, this.ledger)
      : composePart(view, typeUrl, responseBytes, batch, this.variant);
  }

  lookup(name: string): Stored | undefined {
    return this.view.lookup(this.typeUrl, name);
  }

  listing(): Listing {
    return this.view.listing(this.typeUrl);
  }

  chunks(): readonly Chunk[] {
    return (this.fullState ? this.core.whole : this.core.chunks)(this.listing());
  }

  version(): string {
    return this.listing().version;
  }

  poisoned(item: Stored): boolean {
    const { poisoned } = this.core;
    return poisoned.size > 0 && poisoned.get(poisonKey(item.resource)) === item;
  }

  anyPoisoned(): boolean {
    return this.core.poisoned.size > 0;
  }
}

/** Whether a client takes resources that expire; others keep theirs for ever. */
function takesTtl(node: ClientNode, variant: Variant): boolean {
  return node.clientFeatures.has(features[variant]);
}

export function progressOf({ typeUrl, ledger }: TypeStream): Progress {
  const { sets, removals } = ledger.unsent();
  return { typeUrl, unsentSets: sets, unsentRemovals: removals, unanswered: ledger.unanswered() };
}
