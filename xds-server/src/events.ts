import type { Client, ClientId } from './client.ts';
import type { Refusal } from './in-force.ts';
import type { ResourceRef } from './resource.ts';

export type Variant = 'delta' | 'sotw';

/** What happens at the server, as it happens. Handlers run synchronously: keep them short. */
export type XdsEvent =
  | {
      readonly kind: 'stream-opened';
      readonly stream: number;
      readonly peer: string;
      readonly variant: Variant;
    }
  /** The first request of a stream came; `first` says that the client had no other stream. */
  | {
      readonly kind: 'client-connected';
      readonly stream: number;
      readonly client: Client;
      readonly first: boolean;
    }
  | { readonly kind: 'client-disconnected'; readonly client: ClientId }
  | { readonly kind: 'stream-closed'; readonly stream: number; readonly reason: string }
  | {
      readonly kind: 'pushed';
      readonly stream: number;
      readonly client: ClientId;
      readonly typeUrl: string;
      readonly nonce: string;
      readonly resources: number;
      readonly removed: number;
      readonly bytes: number;
    }
  | {
      readonly kind: 'accepted';
      readonly stream: number;
      readonly client: ClientId;
      readonly typeUrl: string;
      readonly nonce: string;
      /** Names in the response; state-of-the-world names unchanged ones too. */
      readonly resources: readonly string[];
      readonly removed: readonly string[];
      readonly latencyMs: number;
    }
  /** A response was refused. The resources are suspects until `quarantined` names the culprit. */
  | {
      readonly kind: 'refused';
      readonly stream: number;
      readonly client: ClientId;
      readonly typeUrl: string;
      readonly nonce: string;
      readonly suspects: number;
      readonly detail: string;
    }
  /** One resource is held back from one client until it changes. */
  | { readonly kind: 'quarantined'; readonly stream: number; readonly refusal: Refusal }
  /** A resource that was held back changed, and the client took it. */
  | {
      readonly kind: 'released';
      readonly stream: number;
      readonly client: ClientId;
      readonly ref: ResourceRef;
    }
  /** A type waited for another longer than `limits.orderingPatienceMs` and went ahead. */
  | {
      readonly kind: 'order-given-up';
      readonly stream: number;
      readonly client: ClientId;
      readonly typeUrl: string;
      readonly waitedFor: string;
    };
