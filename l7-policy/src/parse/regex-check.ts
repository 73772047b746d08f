import { RE2JS } from 're2js';

/** null: the pattern compiles as RE2; else what is wrong with it. */
export type RegexCheck = (pattern: string) => string | null;

/** Longest pattern taken; Envoy's own limits on program size are checked where routes are made. */
const maxPatternLength = 2048;

/** Remembers patterns it has seen, up to a bound: policies repeat them. */
export function createRegexCheck(): RegexCheck {
  const seen = new Map<string, string | null>();
  return (pattern) => {
    const known = seen.get(pattern);
    if (known !== undefined) return known;
    const result = compile(pattern);
    if (seen.size > 4096) seen.clear();
    seen.set(pattern, result);
    return result;
  };
}

function compile(pattern: string): string | null {
  if (pattern.length > maxPatternLength) return `longer than ${maxPatternLength} characters`;
  try {
    RE2JS.compile(pattern);
    return null;
  } catch (error) {
    return error instanceof Error ? error.message : String(error);
  }
}
