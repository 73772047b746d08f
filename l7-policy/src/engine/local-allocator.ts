import type { IdentityAllocator } from '../types/engine.ts';
import type { Labels } from '../types/fact.ts';
import { firstLocalIdentity, type Identity, identity } from '../types/identity.ts';

/** From where to where each kind of identity counts (Cilium's scopes). */
const scopes = {
  cluster: { first: 256, last: 0xffff },
  local: { first: firstLocalIdentity, last: 0x01ff_ffff },
  node: { first: 0x0200_0000, last: 0x02ff_ffff },
} as const;

/** A number already given, from an earlier run. */
export interface KnownIdentity {
  readonly identity: Identity;
  readonly labels: Labels;
}

/**
 * An allocator for one node alone. Numbers go round their scope, so that one just released is not soon somebody
 * else's: the kernel may still remember whose it was. What was known before keeps its number. Throws when a
 * scope is full.
 */
export function createLocalAllocator(known: readonly KnownIdentity[] = []): IdentityAllocator {
  const byLabels = new Map<string, Identity>();
  const labelsOf = new Map<Identity, string>();
  const next: Record<keyof typeof scopes, number> = {
    cluster: scopes.cluster.first,
    local: scopes.local.first,
    node: scopes.node.first,
  };
  const advance = (scope: keyof typeof scopes) => {
    const { first, last } = scopes[scope];
    next[scope] = next[scope] === last ? first : next[scope] + 1;
  };
  const take = (key: string, number: Identity) => {
    byLabels.set(key, number);
    labelsOf.set(number, key);
  };
  for (const { identity: number, labels } of known) {
    take(labels.join('\n'), number);
    const scope = scopeOf(labels);
    if (number >= next[scope] && number < scopes[scope].last) next[scope] = number + 1;
  }
  return {
    allocate(labels) {
      const key = labels.join('\n');
      const existing = byLabels.get(key);
      if (existing !== undefined) return existing;
      const scope = scopeOf(labels);
      const start = next[scope];
      while (labelsOf.has(identity(next[scope]))) {
        advance(scope);
        if (next[scope] === start) throw new Error(`no identity is left in the ${scope} scope`);
      }
      const number = identity(next[scope]);
      advance(scope);
      take(key, number);
      return number;
    },
    release(number) {
      const key = labelsOf.get(number);
      if (key === undefined) return;
      labelsOf.delete(number);
      byLabels.delete(key);
    },
  };
}

function scopeOf(labels: Labels): keyof typeof scopes {
  if (labels.some((label) => label.startsWith('cidr:'))) return 'local';
  return labels.some((label) => label.startsWith('reserved:remote-node')) ? 'node' : 'cluster';
}
