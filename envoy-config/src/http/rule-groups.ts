import { createHash } from 'node:crypto';
import { createPatternMatcher } from '@weir/l7-policy';

/** A rule among those that a combined regex stands for; they differ in nothing but the path. */
export interface GroupMember {
  readonly rule: string;
  /** RE2 over the whole path. */
  readonly path: string;
}

/** The rules behind combined regexes. The name of a group takes the place of a rule's id in Envoy. */
export interface RuleGroups {
  /** The name that follows from the members; from now on the group can be asked. */
  name(members: readonly GroupMember[]): string;
  /**
   * The rule that a name in Envoy's log stands for: itself, or the first of the group whose pattern matches the path.
   * null: a group of long ago.
   */
  ruleOf(name: string, path: string): string | null;
}

/** No rule's id begins so. */
const mark = '~';
/** Groups that were compiled last; those of earlier edits are asked for only by requests that were under way. */
const mostGroups = 4_000;
/** Paths whose rule is remembered: clients ask for the same ones again and again. */
const mostPaths = 10_000;

/** Knows no group yet. */
export function createRuleGroups(): RuleGroups {
  const groups = new Map<string, readonly GroupMember[]>();
  const found = new Map<string, string | null>();
  const patterns = createPatternMatcher();
  return {
    name(members) {
      const content = members.map(({ rule, path }) => `${rule}\0${path}`).join('\0');
      const name = `${mark}${createHash('sha256').update(content).digest('hex').slice(0, 16)}`;
      groups.delete(name);
      groups.set(name, members);
      const [oldest] = groups.keys();
      if (groups.size > mostGroups && oldest !== undefined) groups.delete(oldest);
      return name;
    },
    ruleOf(name, path) {
      if (!name.startsWith(mark)) return name;
      const key = `${name} ${path}`;
      const known = found.get(key);
      if (known !== undefined) return known;
      const members = groups.get(name);
      if (members === undefined) return null;
      const rule = members.find((member) => patterns.fullMatch(member.path, path))?.rule ?? null;
      if (found.size >= mostPaths) found.clear();
      found.set(key, rule);
      return rule;
    },
  };
}
