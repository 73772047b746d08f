import type { Grant, Rule } from '../model/policy.ts';

/** Small numbers for what grants say, so that lists of grants compare quickly. */
export interface GrantNumbers {
  add(rule: Rule): void;
  remove(rule: Rule): void;
  /** The numbers of grants that were added, ascending, each once. */
  list(grants: readonly Grant[]): readonly number[];
  /** Forgets what nobody says any more: what goes and comes back within an update keeps its number. */
  sweep(): void;
}

export function createGrantNumbers(): GrantNumbers {
  const known = new Map<string, { readonly number: number; uses: number }>();
  const numbers = new Map<Grant, number>();
  const unused = new Set<string>();
  let next = 0;
  return {
    add(rule) {
      for (const grant of rule.grants) {
        const entry = known.get(grant.key) ?? { number: next++, uses: 0 };
        entry.uses += 1;
        known.set(grant.key, entry);
        numbers.set(grant, entry.number);
      }
    },
    remove(rule) {
      for (const grant of rule.grants) {
        numbers.delete(grant);
        const entry = known.get(grant.key);
        if (entry === undefined) continue;
        entry.uses -= 1;
        if (entry.uses === 0) unused.add(grant.key);
      }
    },
    sweep() {
      for (const key of unused) if (known.get(key)?.uses === 0) known.delete(key);
      unused.clear();
    },
    list(grants) {
      const list = Array.from(grants, (grant) => numbers.get(grant) ?? -1).sort((a, b) => a - b);
      return list.filter((number, at) => at === 0 || number !== list[at - 1]);
    },
  };
}
