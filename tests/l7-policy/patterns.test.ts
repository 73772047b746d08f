import assert from 'node:assert/strict';
import { suite, test } from 'node:test';
import { createEngine, createPatternMatcher } from '@weir/l7-policy';

suite('patterns are RE2 and match the whole text', () => {
  const patterns = createPatternMatcher();
  const cases: readonly [pattern: string, text: string, matches: boolean][] = [
    ['/a', '/a', true],
    ['/a', '/ab', false],
    ['/a|/b', '/b', true],
    ['/a|/b', '/ab', false],
    ['/public$', '/public', true],
    ['/a.*', '/a\n', false],
    ['(?s)/a.*', '/a\n', true],
    ['/a$', '/a\n', false],
    ['(?i)get', 'GET', true],
    ['\\d+', '12', true],
    ['\\d+', '١٢', false],
    ['\\w', 'é', false],
    ['\\pL', 'é', true],
    ['[[:alpha:]]+', 'abc', true],
    ['a{2,3}', 'aaaa', false],
    ['\\Qa.b\\E', 'a.b', true],
    ['\\Qa.b\\E', 'axb', false],
    ['(?P<id>[0-9]+)/x', '7/x', true],
    ['a??b', 'ab', true],
    ['\\Aab\\z', 'ab', true],
    ['^a|b$', 'b', true],
    ['\\x{e9}', 'é', true],
    ['(x+x+)+y', 'x'.repeat(2000), false],
  ];
  for (const [pattern, text, matches] of cases) {
    test(`${pattern} ${matches ? 'matches' : 'does not match'} ${JSON.stringify(text.slice(0, 20))}`, () =>
      assert.equal(patterns.fullMatch(pattern, text), matches));
  }
});

suite('what RE2 has not is refused', () => {
  const refused = [
    '(?=a)',
    '(?!a)',
    '(?<=a)',
    '(?>a)',
    '\\1',
    'a++',
    'a**',
    '*',
    'a)|(b',
    '[a',
    'a{1001}',
    '(a{1000}){2}',
    '\\Z',
    '(?#c)a',
  ];
  for (const pattern of refused) {
    test(pattern, () => {
      const { problems } = createEngine().setFile(
        'p.yaml',
        `[{endpointSelector: {}, ingress: [{toPorts: [{ports: [{port: "80", protocol: TCP}], rules: {http: [{path: ${JSON.stringify(pattern)}}]}}]}]}]`,
      );
      assert.match(problems[0]?.message ?? '', /^rules\.http\[\]\.path is not a valid RE2 pattern: /);
    });
  }
});
