import type { ClientNode } from './client.ts';
import { type Compose, type Composed, composeAll, composePart } from './compose.ts';
import { type Core, poisonKey } from './core.ts';
import type { Variant } from './events.ts';
import { createLedger, type Ledger } from './ledger.ts';
import type { Progress } from './order.ts';
import { resourceType } from './resource-types.ts';
import type { View } from './view.ts';

/** One resource type on one stream. */
export interface TypeStream {
  readonly typeUrl: string;
  readonly rank: number;
  /** State-of-the-world answers that carry everything. */
  readonly fullState: boolean;
  /** Whether the client takes resources that expire. */
  readonly ttl: boolean;
  readonly ledger: Ledger;
  readonly compose: Compose;
  readonly unwatch: () => void;
  /** The newest response on this stream, answered or not. */
  nonce: string;
  nonceSerial: number;
  sentAtMs: number;
  /** What the unanswered response holds. */
  content: Pick<Composed, 'stored' | 'removed'>;
  /** State-of-the-world: the list of names in the last request. */
  namesKey: Uint8Array | null;
  /** Since when another type keeps this one waiting. */
  blockedSinceMs: number | null;
  /** Of the next renewal of what expires. */
  cancelHeartbeat: (() => void) | null;
  heartbeatDue: boolean;
}

/** Of a type that waits for no answer. */
export const noContent: TypeStream['content'] = Object.freeze({ stored: [], removed: [] });

/** Client features that say so (xds_protocol, "TTL"). */
const features = {
  delta: 'xds.config.supports-resource-ttl',
  sotw: 'xds.config.supports-resource-in-sotw',
} as const satisfies Record<Variant, string>;

/** Types without a place in the order come last; they wait for nobody. */
export const unranked = 99;

export function createTypeStream(
  core: Core,
  node: ClientNode,
  view: View,
  typeUrl: string,
  variant: Variant,
  wake: () => void,
): TypeStream {
  const { rank, fullState: grouped } = resourceType(typeUrl);
  const fullState = variant === 'sotw' && grouped;
  const chunks = fullState ? core.whole : core.chunks;
  const ledger = createLedger({
    lookup: (name) => view.lookup(typeUrl, name),
    listing: () => view.listing(typeUrl),
    chunks: () => chunks(view.listing(typeUrl)),
    version: () => view.listing(typeUrl).version,
    poisoned: (item) => core.poisoned.size > 0 && core.poisoned.get(poisonKey(item.resource)) === item,
    anyPoisoned: () => core.poisoned.size > 0,
    tellsRemoval: variant === 'delta' || fullState,
  });
  const { responseBytes } = core.limits;
  return {
    typeUrl,
    rank: rank ?? unranked,
    fullState,
    ttl: takesTtl(node, variant),
    ledger,
    compose: fullState
      ? composeAll(view, typeUrl, responseBytes)
      : composePart(view, typeUrl, responseBytes, variant),
    unwatch: view.watch(typeUrl, (name, before) => {
      ledger.changed(name, before);
      wake();
    }),
    nonce: '',
    nonceSerial: 0,
    sentAtMs: 0,
    content: noContent,
    namesKey: null,
    blockedSinceMs: null,
    cancelHeartbeat: null,
    heartbeatDue: false,
  };
}

/** Whether a client takes resources that expire; others keep theirs for ever. */
function takesTtl(node: ClientNode, variant: Variant): boolean {
  return node.clientFeatures.has(features[variant]);
}

export function progressOf({ typeUrl, ledger }: TypeStream): Progress {
  const { sets, removals } = ledger.unsent();
  return { typeUrl, unsentSets: sets, unsentRemovals: removals, unanswered: ledger.unanswered() };
}
