import type { IdentityAllocator } from '../types/engine.ts';
import type { Labels } from '../types/fact.ts';
import { firstLocalIdentity, type Identity, identity } from '../types/identity.ts';

/** Where each kind of identity counts from (Cilium's scopes). */
const scopes = { cluster: 256, local: firstLocalIdentity, node: 0x0200_0000 } as const;

/** A number already given, from an earlier run. */
export interface KnownIdentity {
  readonly identity: Identity;
  readonly labels: Labels;
}

/**
 * An allocator for one node alone: the lowest free number of the label set's scope. What was known before
 * keeps its number.
 */
export function createLocalAllocator(known: readonly KnownIdentity[] = []): IdentityAllocator {
  const byLabels = new Map<string, Identity>();
  const labelsOf = new Map<Identity, string>();
  const next: Record<keyof typeof scopes, number> = { ...scopes };
  const take = (key: string, number: Identity) => {
    byLabels.set(key, number);
    labelsOf.set(number, key);
  };
  for (const { identity: number, labels } of known) take(labels.join('\n'), number);
  return {
    allocate(labels) {
      const key = labels.join('\n');
      const existing = byLabels.get(key);
      if (existing !== undefined) return existing;
      const scope = scopeOf(labels);
      while (labelsOf.has(identity(next[scope]))) next[scope] += 1;
      const number = identity(next[scope]);
      take(key, number);
      return number;
    },
    release(number) {
      const key = labelsOf.get(number);
      if (key === undefined) return;
      labelsOf.delete(number);
      byLabels.delete(key);
      const scope = number >= scopes.node ? 'node' : number >= scopes.local ? 'local' : 'cluster';
      next[scope] = Math.min(next[scope], number);
    },
  };
}

function scopeOf(labels: Labels): keyof typeof scopes {
  if (labels.some((label) => label.startsWith('cidr:'))) return 'local';
  return labels.some((label) => label.startsWith('reserved:remote-node')) ? 'node' : 'cluster';
}
