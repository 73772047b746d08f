import { type Identity, type IdentityAllocator, identity, type Labels } from '@weir/l7-policy';
import type { StateStore } from './state-store.ts';

/** Below are the reserved identities; the range ends where 16 bits do, as in Cilium's cluster scope. */
const FIRST = 256;
const LAST = 65_535;
const NAME = 'identities';

/**
 * Numbers label sets for a node that shares no identities with others. A set keeps its number for as
 * long as the state directory lives: connections and policy entries in the kernel refer to it.
 * Throws when the stored state is of another form.
 */
export function createIdentityAllocator(store: StateStore): IdentityAllocator {
  const numbers = readStored(store.read(NAME));
  const taken = new Set(numbers.values());
  let next = FIRST;

  return {
    allocate(labels: Labels): Identity {
      const key = labels.join('\n');
      const had = numbers.get(key);
      if (had !== undefined) return identity(had);
      while (taken.has(next)) next += 1;
      if (next > LAST) throw new Error(`no identity is free: all of ${FIRST} to ${LAST} are in use`);
      numbers.set(key, next);
      taken.add(next);
      store.write(NAME, [...numbers]);
      return identity(next);
    },
    release() {
      // A number is kept: what bore it may come back, and nothing else may ever bear it on this node.
    },
  };
}

function readStored(value: unknown): Map<string, number> {
  if (value === undefined) return new Map();
  const pairs = Array.isArray(value) ? value : [undefined];
  const numbers = new Map<string, number>();
  for (const pair of pairs) {
    const [key, number] = Array.isArray(pair) ? pair : [];
    if (typeof key !== 'string' || typeof number !== 'number') {
      throw new Error('the stored identities are of another form; remove the state directory to start anew');
    }
    numbers.set(key, number);
  }
  return numbers;
}
