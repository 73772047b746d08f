import type { HeaderMatch, HttpRule } from '@weir/l7-policy';
import { httpRule } from './support/rules.ts';

/** A request under rules with headerMatches: what the server gets of it, or null when it is refused. */
export interface HeaderCase {
  readonly name: string;
  readonly rules: readonly HttpRule[];
  /** Another side's rules; then `rules` are the egress side. */
  readonly ingress?: readonly HttpRule[];
  readonly request: { readonly path: string; readonly headers: readonly (readonly [string, string])[] };
  /** The headers under test as the server sees them; names not here must be absent. */
  readonly server: Readonly<Record<string, string>> | null;
  readonly mismatches?: readonly string[];
  /** What the access log holds of the headers that the rules name. */
  readonly logged?: Readonly<Record<string, string>>;
}

const match = (name: string, value: string | null, mismatch: HeaderMatch['mismatch']): HeaderMatch => ({
  name,
  value,
  secret: false,
  mismatch,
});
const rule = (id: string, path: string, ...headerMatches: readonly HeaderMatch[]) =>
  httpRule(id, { path, headerMatches });
const ask = (path: string, ...headers: readonly (readonly [string, string])[]) => ({ path, headers });

/** Headers that the cases are about. */
export const watched = ['x-team', 'x-key', 'x-other'];

export const headerCases: readonly HeaderCase[] = [
  {
    name: 'FAIL refuses a wrong value',
    rules: [rule('a', '/p', match('X-Team', 'blue', 'FAIL'))],
    request: ask('/p', ['X-Team', 'red'], ['X-Other', 'not named']),
    server: null,
    logged: { 'x-team': 'red' },
  },
  {
    name: 'FAIL refuses a missing header',
    rules: [rule('a', '/p', match('X-Team', 'blue', 'FAIL'))],
    request: ask('/p'),
    server: null,
    logged: {},
  },
  {
    name: 'FAIL passes the value, in any case of the name',
    rules: [rule('a', '/p', match('X-Team', 'blue', 'FAIL'))],
    request: ask('/p', ['x-tEAm', 'blue']),
    server: { 'x-team': 'blue' },
  },
  {
    name: 'FAIL with an empty value asks for presence',
    rules: [rule('a', '/p', match('X-Team', '', 'FAIL'))],
    request: ask('/p', ['X-Team', 'any']),
    server: { 'x-team': 'any' },
  },
  {
    name: 'FAIL with an empty value refuses absence',
    rules: [rule('a', '/p', match('X-Team', '', 'FAIL'))],
    request: ask('/p'),
    server: null,
  },
  {
    name: 'an unknown secret refuses',
    rules: [rule('a', '/p', match('X-Team', null, 'REPLACE'))],
    request: ask('/p', ['X-Team', 'x']),
    server: null,
  },
  {
    name: 'LOG lets a wrong value pass as it is',
    rules: [rule('a', '/p', match('X-Team', 'blue', 'LOG'))],
    request: ask('/p', ['X-Team', 'red']),
    server: { 'x-team': 'red' },
    mismatches: ['x-team'],
    logged: { 'x-team': 'red' },
  },
  {
    name: 'a value that rules compare with a secret is logged masked',
    rules: [rule('a', '/p', { ...match('X-Key', 's3cret', 'REPLACE'), secret: true })],
    request: ask('/p', ['X-Key', 'guess']),
    server: { 'x-key': 's3cret' },
    mismatches: ['x-key'],
    logged: { 'x-key': '***' },
  },
  {
    name: 'a secret of one rule masks the header of all',
    rules: [
      rule('a', '/a', match('X-Key', 'plain', 'LOG')),
      rule('b', '/b', { ...match('X-Key', 's3cret', 'FAIL'), secret: true }),
    ],
    request: ask('/a', ['X-Key', 's3cret']),
    server: { 'x-key': 's3cret' },
    logged: { 'x-key': '***' },
  },
  {
    name: 'credentials are logged masked',
    rules: [httpRule('a', { path: '/p', headers: [{ name: 'Authorization', value: null }] })],
    request: ask('/p', ['Authorization', 'Bearer me']),
    server: {},
    logged: { authorization: '***' },
  },
  {
    name: 'headers of both sides are logged, several values as one, as the client sent them',
    rules: [rule('a', '/p', match('X-Team', 'blue', 'REPLACE'))],
    ingress: [httpRule('b', { headers: [{ name: 'X-Other', value: 'no' }] })],
    request: ask('/p', ['X-Team', 'red'], ['X-Team', 'green'], ['X-Other', 'yes']),
    server: null,
    logged: { 'x-team': 'red,green', 'x-other': 'yes' },
  },
  {
    name: 'a value that is no UTF-8 costs no record',
    rules: [rule('a', '/p', match('X-Team', 'blue', 'LOG'))],
    request: ask('/p', ['X-Team', 'r\xffd']),
    // The echo comes as UTF-8 and is read as latin1.
    server: { 'x-team': 'r\xc3\xbfd' },
    mismatches: ['x-team'],
    logged: { 'x-team': 'r\ufffdd' },
  },
  {
    name: 'LOG says nothing of the right value',
    rules: [rule('a', '/p', match('X-Team', 'blue', 'LOG'))],
    request: ask('/p', ['X-Team', 'blue']),
    server: { 'x-team': 'blue' },
    mismatches: [],
  },
  {
    name: 'LOG does not open other paths',
    rules: [rule('a', '/p', match('X-Team', 'blue', 'LOG'))],
    request: ask('/q', ['X-Team', 'blue']),
    server: null,
  },
  {
    name: 'ADD adds a missing header',
    rules: [rule('a', '/p', match('X-Team', 'blue', 'ADD'))],
    request: ask('/p'),
    server: { 'x-team': 'blue' },
    mismatches: ['x-team'],
  },
  {
    name: 'ADD adds beside a wrong value',
    rules: [rule('a', '/p', match('X-Team', 'blue', 'ADD'))],
    request: ask('/p', ['X-Team', 'red']),
    server: { 'x-team': 'red,blue' },
  },
  {
    name: 'ADD leaves the right value alone',
    rules: [rule('a', '/p', match('X-Team', 'blue', 'ADD'))],
    request: ask('/p', ['X-Team', 'blue']),
    server: { 'x-team': 'blue' },
    mismatches: [],
  },
  {
    name: 'DELETE removes a wrong value',
    rules: [rule('a', '/p', match('X-Team', 'blue', 'DELETE'))],
    request: ask('/p', ['X-Team', 'red']),
    server: {},
  },
  {
    name: 'DELETE keeps the right value',
    rules: [rule('a', '/p', match('X-Team', 'blue', 'DELETE'))],
    request: ask('/p', ['X-Team', 'blue']),
    server: { 'x-team': 'blue' },
  },
  {
    name: 'REPLACE sets a missing header',
    rules: [rule('a', '/p', match('X-Team', 'blue', 'REPLACE'))],
    request: ask('/p'),
    server: { 'x-team': 'blue' },
  },
  {
    name: 'REPLACE replaces a wrong value',
    rules: [rule('a', '/p', match('X-Team', 'blue', 'REPLACE'))],
    request: ask('/p', ['X-Team', 'red']),
    server: { 'x-team': 'blue' },
  },
  {
    name: 'a value is taken literally',
    rules: [rule('a', '/p', match('X-Key', '100%REQ(host)% "x"', 'REPLACE'))],
    request: ask('/p'),
    server: { 'x-key': '100%REQ(host)% "x"' },
  },
  {
    name: 'several actions of one rule',
    rules: [
      rule(
        'a',
        '/p',
        match('X-Team', 'blue', 'ADD'),
        match('X-Key', 'k', 'REPLACE'),
        match('X-Other', 'o', 'DELETE'),
      ),
    ],
    request: ask('/p', ['X-Key', 'z'], ['X-Other', 'z']),
    server: { 'x-team': 'blue', 'x-key': 'k' },
    mismatches: ['x-key', 'x-other', 'x-team'],
  },
  {
    name: 'the actions of all rules that match',
    rules: [
      rule('a', '/p.*', match('X-Team', 'blue', 'ADD')),
      rule('b', '/p', match('X-Key', 'k', 'ADD')),
      rule('c', '/.*', match('X-Other', 'o', 'ADD')),
      rule('d', '/q', match('X-Other', 'q', 'ADD')),
    ],
    request: ask('/p'),
    server: { 'x-team': 'blue', 'x-key': 'k', 'x-other': 'o' },
  },
  {
    name: 'more rules behind prefixes that exclude each other than may meet in one request',
    rules: [
      ...Array.from({ length: 9 }, (_, index) =>
        rule(`${index}`, `/p${index}/.*`, match('X-Key', `${index}`, 'ADD')),
      ),
      rule('short', '/p.*', match('X-Team', 't', 'ADD')),
      rule('exact', '/p7/a', match('X-Other', 'o', 'ADD')),
      rule('floating', '.*a', match('X-Other', 'f', 'ADD')),
    ],
    request: ask('/p7/a'),
    server: { 'x-key': '7', 'x-team': 't', 'x-other': 'f,o' },
  },
  {
    name: 'a shorter prefix acts where the longer one does not match',
    rules: [
      rule('long', '/p/[0-9]+', match('X-Key', 'k', 'ADD')),
      rule('short', '/p.*', match('X-Team', 't', 'ADD')),
    ],
    request: ask('/p/x'),
    server: { 'x-team': 't' },
  },
  {
    name: 'a rule without actions beside one with',
    rules: [rule('a', '/.*'), rule('b', '/p', match('X-Key', 'k', 'ADD'))],
    request: ask('/p'),
    server: { 'x-key': 'k' },
  },
  {
    name: 'no action where its rule does not match',
    rules: [rule('a', '/.*'), rule('b', '/p', match('X-Key', 'k', 'ADD'))],
    request: ask('/q'),
    server: {},
  },
  {
    name: 'no action where its method does not match',
    rules: [rule('a', '/.*'), httpRule('b', { method: 'POST', headerMatches: [match('X-Key', 'k', 'ADD')] })],
    request: ask('/p'),
    server: {},
  },
  {
    name: 'no action where its FAIL does',
    rules: [rule('a', '/.*'), rule('b', '/p', match('X-Team', 'blue', 'FAIL'), match('X-Key', 'k', 'ADD'))],
    request: ask('/p', ['X-Team', 'red']),
    server: { 'x-team': 'red' },
  },
  {
    name: 'equal actions act once',
    rules: [rule('a', '/.*', match('X-Key', 'k', 'ADD')), rule('b', '/p', match('X-Key', 'k', 'ADD'))],
    request: ask('/p'),
    server: { 'x-key': 'k' },
  },
  {
    name: 'a pair: the egress side acts',
    rules: [rule('a', '/p', match('X-Key', 'k', 'ADD'))],
    ingress: [rule('b', '/.*')],
    request: ask('/p'),
    server: { 'x-key': 'k' },
  },
  {
    name: 'a pair: the ingress side acts',
    rules: [rule('a', '/p')],
    ingress: [rule('b', '/p', match('X-Key', 'k', 'ADD')), rule('c', '/q', match('X-Team', 't', 'ADD'))],
    request: ask('/p'),
    server: { 'x-key': 'k' },
  },
  {
    name: 'a pair: both act',
    rules: [rule('a', '/p', match('X-Team', 't', 'ADD'))],
    ingress: [rule('b', '/p', match('X-Key', 'k', 'ADD'))],
    request: ask('/p'),
    server: { 'x-key': 'k', 'x-team': 't' },
  },
  {
    name: 'a pair: one refuses, nothing acts',
    rules: [rule('a', '/p', match('X-Team', 't', 'ADD'))],
    ingress: [rule('b', '/q', match('X-Key', 'k', 'ADD'))],
    request: ask('/p'),
    server: null,
  },
];
