import type { Stored } from './stored.ts';

/** What a client has of one resource, as far as the server knows. */
export type Held =
  | Stored
  /** It said so itself after a reconnect; the bytes are not known. */
  | { readonly kind: 'version'; readonly version: string }
  | { readonly kind: 'nothing' }
  /** It may have forgotten what it had, or wants to hear that there is nothing: answer in any case. */
  | { readonly kind: 'asked' }
  /** It may have any earlier state. */
  | { readonly kind: 'unknown' };

export const nothing: Held = Object.freeze({ kind: 'nothing' });
export const asked: Held = Object.freeze({ kind: 'asked' });
export const unknown: Held = Object.freeze({ kind: 'unknown' });

/** Whether the client is known to have exactly this; undefined stands for absence. */
export function holds(held: Held, target: Stored | undefined): boolean {
  if (target === undefined) return held.kind === 'nothing';
  return heldVersion(held) === target.resource.version;
}

export function heldVersion(held: Held): string | null {
  switch (held.kind) {
    case 'stored':
      return held.resource.version;
    case 'version':
      return held.version;
    case 'nothing':
    case 'asked':
    case 'unknown':
      return null;
  }
}
