import { createHash } from 'node:crypto';
import { RE2JS } from 're2js';

/** A rule among those that a combined regex stands for; they differ in nothing but the path. */
export interface GroupMember {
  readonly rule: string;
  /** RE2 over the whole path. */
  readonly path: string;
}

/** The rules behind one combined regex. Its name takes the place of a rule's id in Envoy. */
export interface RuleGroup {
  readonly name: string;
  /** Which of its rules allowed a path that the combined regex matched; null: none. */
  ruleOf(path: string): string | null;
}

/** No rule's id begins so. */
const mark = '~';

/** Whether a name in Envoy's log is that of a group. */
export function isGroupName(name: string): boolean {
  return name.startsWith(mark);
}

/** Paths whose rule is remembered: clients ask for the same ones again and again. */
const mostPaths = 10_000;

/** Names the group by its content; patterns are compiled when the first path is asked for. */
export function ruleGroup(members: readonly GroupMember[]): RuleGroup {
  const content = members.map(({ rule, path }) => `${rule}\0${path}`).join('\0');
  const found = new Map<string, string | null>();
  let patterns: readonly { readonly rule: string; readonly regex: RE2JS }[] | undefined;
  return {
    name: `${mark}${createHash('sha256').update(content).digest('hex').slice(0, 16)}`,
    ruleOf(path) {
      const known = found.get(path);
      if (known !== undefined) return known;
      patterns ??= members.map(({ rule, path: regex }) => ({ rule, regex: RE2JS.compile(regex) }));
      const rule = patterns.find(({ regex }) => regex.matches(path))?.rule ?? null;
      if (found.size >= mostPaths) found.clear();
      found.set(path, rule);
      return rule;
    },
  };
}
