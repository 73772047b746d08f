import type { Condition, ConditionProblem } from './condition.ts';
import type { Action } from './matcher.ts';
import { type GroupMember, type RuleGroup, ruleGroup } from './rule-group.ts';

/** A rule as it was taken in: what it tests, and a text that is equal for rules that test and do the same. */
export interface TakenRule {
  readonly condition: Condition;
  readonly key: string;
}

/**
 * What a compiler remembers from one edit to the next, so that it works on what is new. Everything follows from
 * the keys, so forgetting costs time and nothing else.
 */
export interface Memory {
  /** By id and content of the rule. */
  readonly rules: Map<string, TakenRule | ConditionProblem | null>;
  /** Encoded actions by route name. */
  readonly actions: Map<string, Action>;
  /** Groups of rules behind combined regexes, by name: the access log asks for them later. */
  readonly groups: Map<string, RuleGroup>;
}

/** More than this is forgotten at once. */
const mostRemembered = 200_000;

/** An empty memory. */
export function createMemory(): Memory {
  return { rules: new Map(), actions: new Map(), groups: new Map() };
}

/** What is remembered under a key, made now if it is not. */
export function remembered<Value>(memory: Map<string, Value>, key: string, make: () => Value): Value {
  const known = memory.get(key);
  if (known !== undefined) return known;
  if (memory.size >= mostRemembered) memory.clear();
  const made = make();
  memory.set(key, made);
  return made;
}

/** The name of the group of these rules, which from now on can tell which of them matched. */
export function rememberedGroup(memory: Memory, members: readonly GroupMember[]): string {
  const group = ruleGroup(members);
  return remembered(memory.groups, group.name, () => group).name;
}
