import { RE2JS } from 're2js';
import type { NamePattern } from '../types/l7-rule.ts';

/** Matches whole texts against RE2 patterns. Patterns have been checked when their document was read. */
export interface PatternMatcher {
  fullMatch(pattern: string, text: string): boolean;
  matchesName(match: NamePattern, name: string): boolean;
}

/** A matcher that keeps compiled patterns, up to a bound. */
export function createPatternMatcher(): PatternMatcher {
  const compiled = new Map<string, RE2JS>();
  const fullMatch = (pattern: string, text: string): boolean => {
    let regex = compiled.get(pattern);
    if (regex === undefined) {
      regex = RE2JS.compile(pattern);
      if (compiled.size > 10_000) compiled.clear();
      compiled.set(pattern, regex);
    }
    return regex.matches(text);
  };
  return {
    fullMatch,
    matchesName: (match, name) =>
      match.kind === 'name' ? name !== '' && match.name === name : fullMatch(match.regex, name),
  };
}
