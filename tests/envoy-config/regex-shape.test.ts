/** The analysis of regexes against RE2 (re2js), through the shape that the public compiler relies on. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { type RegexShape, regexShape } from '@weir/envoy-config';
import fc from 'fast-check';
import { RE2JS } from 're2js';

const known: readonly (readonly [string, RegexShape])[] = [
  ['/public/.*', { kind: 'prefix', prefix: '/public/' }],
  ['/a|/b', { kind: 'literals', texts: ['/a', '/b'] }],
  ['GET|HEAD', { kind: 'literals', texts: ['GET', 'HEAD'] }],
  ['.*', { kind: 'anything' }],
  ['^/x$', { kind: 'literals', texts: ['/x'] }],
  ['/v[0-9]+/x', { kind: 'regex', prefix: '/v' }],
  ['(?i)/a', { kind: 'regex', prefix: '' }],
  ['/a(/b)?', { kind: 'literals', texts: ['/a', '/a/b'] }],
  ['/a\\.b', { kind: 'literals', texts: ['/a.b'] }],
  ['/x/(foo|fob).*', { kind: 'regex', prefix: '/x/fo' }],
  ['.*public$', { kind: 'regex', prefix: '' }],
  ['[.]x', { kind: 'literals', texts: ['.x'] }],
  ['[.x]', { kind: 'regex', prefix: '' }],
  ['[^.]', { kind: 'regex', prefix: '' }],
  ['/a\\Q.\\E', { kind: 'regex', prefix: '' }],
  ['a\\bc', { kind: 'regex', prefix: '' }],
  ['/a.+', { kind: 'regex', prefix: '/a' }],
  ['/a(?s).*', { kind: 'regex', prefix: '' }],
  ['/a.*?', { kind: 'prefix', prefix: '/a' }],
  [
    '(a|b){3}c',
    { kind: 'literals', texts: ['aaac', 'aabc', 'abac', 'abbc', 'baac', 'babc', 'bbac', 'bbbc'] },
  ],
  ['a{0}b', { kind: 'literals', texts: ['b'] }],
  ['a^b', { kind: 'regex', prefix: 'ab' }],
  ['(?:/(?P<name>x))y', { kind: 'literals', texts: ['/xy'] }],
];

for (const [regex, shape] of known) {
  test(`${regex} is ${shape.kind}`, () => assert.deepEqual(regexShape(regex), shape));
}

const fragment = fc.constantFrom(
  ...[
    'a',
    'b',
    '/',
    '\\.',
    '.',
    '[ab]',
    '[^a]',
    '[.]',
    '\\d',
    '(a|b)',
    '(?:a|ab)',
    '(?P<n>a)',
    '^',
    '$',
    '|',
    '.*',
    '(?i)a',
  ],
  ...[
    'a?',
    'b*',
    'a+',
    'a{2}',
    '(ab){1,2}',
    '\\Qa.\\E',
    '[[:alpha:]]',
    '.*?',
    'a{,2}',
    '()',
    '(|a)',
    '\\x61',
    '\\pL',
    '{',
    'é',
  ],
);
const regex = fc.array(fragment, { maxLength: 6 }).map((all) => all.join(''));
const text = fc.array(fc.constantFrom('a', 'b', '/', '.', '1', 'A', 'é', '^', '{', ','), { maxLength: 6 });

test('no shape says more or less than RE2', () => {
  fc.assert(
    fc.property(regex, fc.array(text, { minLength: 20, maxLength: 20 }), (pattern, texts) => {
      const compiled = compile(pattern);
      if (compiled === null) return;
      const shape = regexShape(pattern);
      const near =
        shape.kind === 'literals' ? shape.texts : shape.kind === 'anything' ? [''] : [shape.prefix];
      const candidates = texts.map((each) => each.join(''));
      for (const each of [
        ...candidates,
        ...near,
        ...candidates.flatMap((tail) => near.map((head) => head + tail)),
      ]) {
        const matches = compiled.matcher(each).matches();
        const said = verdict(shape, each);
        if (said !== null) assert.equal(said, matches, `${pattern} on ${each}: ${JSON.stringify(shape)}`);
      }
    }),
    { numRuns: 5_000 },
  );
});

/** What the shape says about a text; null: only the regex can tell. */
function verdict(shape: RegexShape, text: string): boolean | null {
  switch (shape.kind) {
    case 'anything':
      return true;
    case 'literals':
      return shape.texts.includes(text);
    case 'prefix':
      return text.startsWith(shape.prefix);
    case 'regex':
      return text.startsWith(shape.prefix) ? null : false;
  }
}

function compile(pattern: string): RE2JS | null {
  try {
    return RE2JS.compile(pattern);
  } catch {
    return null;
  }
}
