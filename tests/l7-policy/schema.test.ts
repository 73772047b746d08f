/** The published schema says about fields what the parser says. */
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { resolve } from 'node:path';
import { suite, test } from 'node:test';
import { createEngine, type Problem } from '@weir/l7-policy';
import { Ajv } from 'ajv';
import { conformanceDocuments, yamlValues } from './conformance-documents.ts';
import { rareDocuments } from './schema.testdata.ts';

interface Schema {
  readonly $ref?: string;
  readonly anyOf?: readonly Schema[];
  readonly items?: Schema;
  readonly properties?: Readonly<Record<string, Schema>>;
}

const text = readFileSync(resolve(import.meta.dirname, '../../docs/schema/policy.schema.json'), 'utf8');
const schema: Schema & { readonly $defs: Readonly<Record<string, Schema>> } = JSON.parse(text);
const validate = new Ajv({ allErrors: true, allowUnionTypes: true }).compile(schema);

const cases = conformanceDocuments();
const accepted = [
  ...cases.filter(({ refused }) => !refused),
  ...rareDocuments.map((policies, index) => ({
    title: `rare ${index}`,
    policies,
    nodeSelectorLabels: true,
    endpoints: [],
    refused: false,
  })),
];

function problemsOf(documents: unknown, nodeSelectorLabels = true): readonly Problem[] {
  const engine = createEngine({ nodeSelectorLabels });
  const problems = (Array.isArray(documents) ? documents : [documents]).map((value) => JSON.stringify(value));
  engine.setFile('a.yaml', problems.join('\n---\n'));
  return engine.problems().filter(({ severity }) => severity === 'error');
}

suite('the schema', () => {
  for (const { title, policies } of accepted) {
    test(`takes what the parser takes: ${title}`, () => {
      for (const value of yamlValues(policies)) {
        assert.ok(validate(value), JSON.stringify(validate.errors, null, 1));
      }
    });
  }

  test('refuses a field that is misspelt, as the parser does', () => {
    for (const { policies } of accepted) {
      for (const root of yamlValues(policies)) {
        for (const { name, value } of objectsOf(root)) {
          value['mispelt'] = 1;
          assert.equal(validate(root), false, name);
          delete value['mispelt'];
        }
      }
    }
  });

  test('lists for each object exactly the fields that the parser knows', () => {
    const checked = new Set<string>();
    for (const { policies } of accepted) {
      for (const root of yamlValues(policies)) {
        for (const place of objectsOf(root)) {
          if (checked.has(place.name)) continue;
          checked.add(place.name);
          assert.deepEqual([...place.fields].sort(), [...parserFields(root, place.value)].sort(), place.name);
        }
      }
    }
    const closed = Object.keys(schema.$defs).filter((name) => schema.$defs[name]?.properties !== undefined);
    assert.deepEqual(
      [...checked].sort(),
      closed.sort(),
      'every object of the schema stands in some document',
    );
  });
});

interface Place {
  readonly name: string;
  readonly fields: readonly string[];
  readonly value: Record<string, unknown>;
}

/** Every object inside a document that the schema describes, with its name there. */
function objectsOf(root: unknown): readonly Place[] {
  if (Array.isArray(root)) return root.flatMap((item) => walk({ $ref: '#/$defs/rule' }, item));
  if (!isRecord(root)) return [];
  return walk({ $ref: `#/$defs/${'kind' in root ? String(root['kind']) : 'rule'}` }, root);
}

function walk(part: Schema, value: unknown): readonly Place[] {
  const name = part.$ref?.replace('#/$defs/', '') ?? null;
  const target = name === null ? part : schema.$defs[name]!;
  if (target.anyOf !== undefined && target.properties === undefined)
    return target.anyOf.flatMap((item) => walk(item, value));
  if (Array.isArray(value)) {
    const { items } = target;
    return items === undefined ? [] : value.flatMap((item) => walk(items, item));
  }
  const { properties } = target;
  if (!isRecord(value) || properties === undefined || name === null) return [];
  const inner = Object.entries(value).flatMap(([key, item]) => walk(properties[key] ?? {}, item));
  return [{ name, fields: Object.keys(properties), value }, ...inner];
}

/** What the parser says of the fields it knows, when it meets one that it does not. */
function parserFields(root: unknown, at: Record<string, unknown>): readonly string[] {
  const stranger = 'zzzzzzzzzzzzzzzz';
  at[stranger] = 1;
  const problem = problemsOf(Array.isArray(root) ? [root] : root).find(({ message }) =>
    message.includes(`"${stranger}"`),
  );
  delete at[stranger];
  const [, list] = /^known fields: (.*)$/.exec(problem?.hint ?? '') ?? [];
  return list?.split(', ') ?? [];
}

function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}
