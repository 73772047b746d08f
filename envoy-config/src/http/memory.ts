import type { GrpcRule, HttpRule } from '@weir/l7-policy';
import type { Encoded } from '../wire.ts';
import type { Condition, ConditionProblem } from './condition.ts';
import type { Action } from './matcher.ts';
import { createRuleGroups, type RuleGroups } from './rule-groups.ts';

/** A rule as it was taken in: what it tests, and a text that is equal for rules that test and do the same. */
export interface TakenRule {
  readonly condition: Condition;
  readonly key: string;
}

/** What became of taking a rule in; null when it can match nothing. */
export type Taken = TakenRule | ConditionProblem | null;

/** Entries of a tree for conditions that stand alone at their place, by what the place is. */
export type EntryMemory = WeakMap<Condition, Map<string, Encoded | null>>;

/**
 * What a compiler remembers from one edit to the next, so that it works on what is new. Everything follows from
 * the keys, so forgetting costs time and nothing else.
 */
export interface Memory {
  /** Rules that are the same objects as before: those of slots that were not edited. */
  readonly objects: WeakMap<HttpRule | GrpcRule, { readonly taken: Taken }>;
  /** By id and content of the rule. */
  readonly rules: Recent<Taken>;
  /** Encoded actions by route name. */
  readonly actions: Recent<Action>;
  /** By what an allowed request leads to. */
  readonly entries: Readonly<Record<'egress' | 'ingress' | 'verdict', EntryMemory>>;
  /** The access log asks for them later. */
  readonly groups: RuleGroups;
}

/** The values used last. */
export interface Recent<Value> {
  /** What is remembered under a key, made now if it is not. */
  of(key: string, make: () => Value): Value;
}

/** This many are kept for sure, and at most twice as many. */
const mostRecent = 30_000;

/** An empty memory. */
export function createMemory(): Memory {
  return {
    objects: new WeakMap(),
    rules: createRecent(mostRecent),
    actions: createRecent(mostRecent),
    entries: { egress: new WeakMap(), ingress: new WeakMap(), verdict: new WeakMap() },
    groups: createRuleGroups(),
  };
}

/** Two generations: when the young one is full it becomes the old one, and what nobody used since is gone. */
function createRecent<Value>(most: number): Recent<Value> {
  let young = new Map<string, Value>();
  let old = new Map<string, Value>();
  return {
    of(key, make) {
      const known = young.get(key);
      if (known !== undefined) return known;
      const value = old.get(key) ?? make();
      if (young.size >= most) {
        old = young;
        young = new Map();
      }
      young.set(key, value);
      return value;
    },
  };
}
