// Plain YAML is read by a scanner of ours, the rest by the yaml library: where both can read a text, they must agree
// on every value and its place. A document with a tag in front sends the whole text to the library.
import assert from 'node:assert/strict';
import { suite, test } from 'node:test';
import { readYaml, type Value } from '@weir/l7-policy';
import fc from 'fast-check';
import { conformanceDocuments } from './conformance-documents.ts';
import { createRandom, mutateText } from './mutate-documents.ts';

const runs = Number(process.env['WEIR_PROPERTY_RUNS'] ?? '60');
const detour = '!!null\n---\n';
const texts = conformanceDocuments().map(({ policies }) => policies);

/** true when our scanner could read the text. */
function agree(text: string): boolean {
  const own = readYaml(text);
  if (!own.plain) return false;
  const byLibrary = readYaml(detour + text);
  assert.ok(!byLibrary.plain);
  assert.deepEqual(byLibrary.problems, [], JSON.stringify(text));
  assert.deepEqual(
    own.documents,
    byLibrary.documents.map((value) => moved(value, -detour.length)),
    JSON.stringify(text),
  );
  return true;
}

function moved(value: Value, by: number): Value {
  const at = value.at + by;
  if (value.kind === 'list') return { ...value, at, items: value.items.map((item) => moved(item, by)) };
  if (value.kind !== 'map') return { ...value, at };
  const fields = [...value.fields].map(
    ([name, field]) => [name, { at: field.at + by, value: moved(field.value, by) }] as const,
  );
  return { ...value, at, fields: new Map(fields) };
}

/** Pieces that YAML is made of, and that make it hard to read. */
const pieces = fc.constantFrom(
  ...[
    'a',
    'b1',
    'k: v',
    'k: ',
    'k:',
    '- ',
    '-',
    '- k: v',
    ': ',
    ':',
    ', ',
    ',',
    ' ',
    '  ',
    '\n',
    '\n ',
    '\n  ',
  ],
  ...[
    '\n    ',
    '{',
    '}',
    '[',
    ']',
    '[]',
    '{}',
    '"x"',
    "'y'",
    "''",
    '"a\\n\\u00e9"',
    '"',
    "'",
    '# c',
    ' #d',
    '---\n',
  ],
  ...[
    '...\n',
    '12',
    '-3',
    '.5',
    '1.2',
    '0x1',
    '~',
    'null',
    'true',
    'No',
    '?',
    '&',
    '*',
    '!',
    '|',
    '>',
    '\r\n',
    '\t',
  ],
  ...[
    ': |\n',
    ': |-\n',
    '- |\n',
    ': |+\n',
    '  text\n',
    '    text\n',
    '\n\n',
    '   more',
    'é',
    '\u2028',
    '<<: ',
  ],
);
const anyText = fc.array(pieces, { minLength: 1, maxLength: 14 }).map((list) => list.join(''));

suite('reading YAML', () => {
  test('the documents of the conformance cases', () => {
    assert.ok(texts.every(agree), 'they are plain');
  });

  test('the same with mistakes in them', () => {
    const random = createRandom(1);
    for (let i = 0; i < 50 * runs; i++) agree(mutateText(random.pick(texts), random));
  });

  test('anything', () => {
    fc.assert(
      fc.property(anyText, (text) => void agree(text)),
      { numRuns: 200 * runs },
    );
  });

  test('what is not plain may not be large, and is told where it begins', () => {
    const filler = Array.from({ length: 8_000 }, (_, i) => `k${i}: plain\n`).join('');
    assert.equal(readYaml(filler).documents.length, 1);
    const { documents, problems } = readYaml(`${filler}x: &anchor 1\n`);
    assert.equal(documents.length, 0);
    assert.equal(problems[0]?.at, filler.length + 3);
    assert.match(problems[0]?.message ?? '', /more than 64 KiB must be plain YAML/);
    assert.deepEqual(readYaml(`${filler}k7: again\n`).problems, [
      { at: filler.length, message: 'the key "k7" stands twice' },
    ]);
    assert.equal(readYaml('x: &anchor 1\n').documents.length, 1);
  });
});
