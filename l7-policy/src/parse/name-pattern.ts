import type { FqdnMatch } from '../model/policy.ts';
import type { NamePattern } from '../types/l7-rule.ts';
import { optionalText, readFields, readList, readText } from './fields.ts';
import type { Refusals } from './refusals.ts';
import type { Value } from './value.ts';

const label = '[-a-zA-Z0-9_]';

/** Longest name or pattern, as in Cilium. */
const maxNameLength = 255;

/** What is wrong with labels and dots of a name or pattern whose characters are right; null: nothing. */
function nameFault(name: string): string | null {
  if (name.length > maxNameLength) return `is longer than ${maxNameLength} characters`;
  return /^([-a-zA-Z0-9_*]+[.]?)+$/.test(name) ? null : 'has an empty label';
}

/** Enough of a name to know it by. */
function shown(name: string): string {
  return name.length > 60 ? `${name.slice(0, 60)}…` : name;
}

/** A domain name as rules and requests compare it: lower case, without the last dot. */
export function normalizeName(name: string): string {
  const lower = name.toLowerCase();
  return lower.endsWith('.') ? lower.slice(0, -1) : lower;
}

/**
 * RE2 source for a pattern of names: `*` stays inside one label, a lone `*` is any name, and a leading `**.`
 * stands for one or more whole labels. Names are compared as `normalizeName` gives them.
 */
export function patternRegex(pattern: string): string {
  if (pattern === '*') return `(${label}+[.])*${label}+`;
  const deep = pattern.startsWith('**.');
  const rest = (deep ? pattern.slice(3) : pattern).replaceAll(/\*+/g, '*');
  const body = [...rest].map((char) => (char === '*' ? `${label}*` : char === '.' ? '[.]' : char)).join('');
  return deep ? `(${label}+[.])+${body}` : body;
}

/** A serverNames entry, or the matchName and matchPattern of a dns rule, as a pattern. */
export function namePattern(text: string): NamePattern {
  const pattern = normalizeName(text);
  return pattern.includes('*')
    ? { kind: 'pattern', pattern, regex: patternRegex(pattern) }
    : { kind: 'name', name: pattern };
}

/** toFQDNs. */
export function readFqdns(refusals: Refusals, value: Value, what: string): FqdnMatch[] {
  return readList(refusals, value, what).flatMap((item) => {
    const match = readNameOrPattern(refusals, item, `${what}[]`);
    return match === null ? [] : [match];
  });
}

/** A map of matchName or matchPattern, exactly one of them. */
export function readNameOrPattern(refusals: Refusals, value: Value, what: string): FqdnMatch | null {
  const fields = readFields(refusals, value, what, ['matchName', 'matchPattern']);
  if (fields === null) return null;
  const name = optionalText(refusals, fields, 'matchName', what) ?? '';
  const pattern = optionalText(refusals, fields, 'matchPattern', what) ?? '';
  if (name !== '' && pattern !== '') {
    refusals.error(fields.at, 'only one of MatchName or MatchPattern is allowed in an FQDNSelector');
    return null;
  }
  if (name !== '') {
    if (!/^[-a-zA-Z0-9_.]+$/.test(name)) {
      refusals.error(
        fields.keyAt('matchName'),
        `Invalid characters in MatchName: "${name}"`,
        'use matchPattern for stars',
      );
      return null;
    }
    const fault = nameFault(name);
    if (fault !== null) refusals.error(fields.keyAt('matchName'), `matchName "${shown(name)}" ${fault}`);
    return { kind: 'name', name: normalizeName(name) };
  }
  if (pattern === '') {
    refusals.error(fields.at, `${what} needs one of matchName and matchPattern`);
    return null;
  }
  if (!/^[-a-zA-Z0-9_.*]+$/.test(pattern)) {
    refusals.error(
      fields.keyAt('matchPattern'),
      `Invalid characters in MatchPattern: "${pattern}"`,
      'letters, digits, "-", "_", "." and "*" are allowed; this is no regular expression',
    );
    return null;
  }
  const fault = nameFault(pattern);
  if (fault !== null)
    refusals.error(fields.keyAt('matchPattern'), `matchPattern "${shown(pattern)}" ${fault}`);
  return namePattern(pattern);
}

/** serverNames of a toPorts item. */
export function readServerNames(
  refusals: Refusals,
  value: Value,
  what: string,
): { at: number; match: NamePattern }[] {
  const items = readList(refusals, value, what);
  if (value.kind === 'list' && items.length === 0) {
    refusals.error(value.at, `${what} is empty`, 'write a name, or remove the field');
  }
  return items.flatMap((item) => {
    const text = readText(refusals, item, `${what}[]`);
    if (text === null) return [];
    if (text === '') {
      refusals.error(item.at, 'an empty server name is not allowed');
      return [];
    }
    if (!/^[-a-zA-Z0-9_.*]+$/.test(text)) {
      refusals.error(item.at, `Invalid characters in server name: "${text}"`);
      return [];
    }
    const fault = nameFault(text);
    if (fault !== null) refusals.error(item.at, `server name "${shown(text)}" ${fault}`);
    return [{ at: item.at, match: namePattern(text) }];
  });
}
