import assert from 'node:assert/strict';
import { test } from 'node:test';
import { fromBinary, toJson } from '@bufbuild/protobuf';
import {
  type Compiled,
  compileClass,
  compileClassRoutes,
  createClassCompiler,
  defaultLimits,
  proxyPort,
  socketMark,
} from '@weir/envoy-config';
import type { L7Rule } from '@weir/l7-policy';
import { envoyTypes } from '@weir/xds-ts';
import { RouteConfigurationSchema } from '@weir/xds-ts/envoy/config/route/v3/route';
import fc from 'fast-check';
import { pieces } from './rule-cases.testdata.ts';
import { httpRule, slot, testClass } from './support/rules.ts';

const settings = {
  proxyMark: socketMark(0x100),
  ipv6: true,
  accessLog: true,
  kafkaFilter: null,
  limits: defaultLimits,
};
const ingress = (rules: readonly L7Rule[]) => compileClassRoutes(testClass('one', 1, { ingress: rules }));

function bytesOf(compiled: Compiled): readonly Uint8Array[] {
  if (compiled.kind === 'refused') throw new Error(compiled.problem.message);
  return compiled.resources.map(({ bytes }) => bytes);
}

test('the listener does not depend on the content of rules', () => {
  const compile = (path: string) => {
    const input = { ...testClass('one', 1, { ingress: [httpRule('a', { path })] }), port: proxyPort(15001) };
    return bytesOf(compileClass(input, settings));
  };
  const [listener, routes] = compile('/a');
  const [otherListener, otherRoutes] = compile('/b');
  assert.deepEqual(listener, otherListener);
  assert.notDeepEqual(routes, otherRoutes);
});

const rule = fc
  .record({
    method: fc.option(fc.constantFrom(...pieces.methodPatterns), { nil: null }),
    path: fc.option(fc.constantFrom(...pieces.pathPatterns), { nil: null }),
    host: fc.option(fc.constantFrom(...pieces.hostPatterns), { nil: null }),
  })
  .map((parts) => httpRule(`rule-${JSON.stringify(parts)}`, parts));

test('equal rule sets give equal bytes, in whatever order and however often they come', () => {
  fc.assert(
    fc.property(
      fc
        .array(rule, { maxLength: 12 })
        .chain((rules) =>
          fc.tuple(
            fc.constant(rules),
            fc.shuffledSubarray([...rules, ...rules], { minLength: rules.length * 2 }),
          ),
        ),
      ([rules, shuffled]) => {
        const half = Math.floor(shuffled.length / 2);
        const slots = [slot('ingress', shuffled.slice(0, half)), slot('ingress', shuffled.slice(half))];
        const other = compileClassRoutes({ ...testClass('one', 1, {}), ingress: slots });
        assert.deepEqual(bytesOf(ingress(rules)), bytesOf(other));
      },
    ),
    { numRuns: 300 },
  );
});

test('what a compiler remembers of earlier edits changes nothing', () => {
  const edits = fc.array(fc.tuple(fc.array(rule, { maxLength: 12 }), fc.array(rule, { maxLength: 6 })), {
    minLength: 2,
    maxLength: 6,
  });
  fc.assert(
    fc.property(edits, (versions) => {
      const compiler = createClassCompiler(() => '');
      for (const [egress, rules] of versions) {
        for (const sides of [{ egress }, { ingress: rules }, { egress, ingress: rules }]) {
          const input = testClass('one', 1, sides);
          assert.deepEqual(bytesOf(compiler.compileRoutes(input)), bytesOf(compileClassRoutes(input)));
        }
      }
    }),
  );
});

test('a small set has the tree of the design', () => {
  const [bytes] = bytesOf(
    ingress([
      httpRule('exact', { method: 'POST', path: '/v1/landing' }),
      httpRule('prefix', { path: '/public/.*' }),
      httpRule('tail', { path: '.*/health' }),
    ]),
  );
  const routes = fromBinary(RouteConfigurationSchema, bytes!);
  assert.deepEqual(outline(toJson(RouteConfigurationSchema, routes, { registry: envoyTypes() })), [
    'or -> deny:path-traversal',
    'not -> deny:malformed-host',
    ':method exactMatchMap POST',
    ':path exactMatchMap /v1/landing',
    '-> ingress:exact',
    ':path prefixMatchMap /public/',
    '-> ingress:prefix',
    ':path .*/health -> ingress:tail',
    '-> deny:ingress-rules',
  ]);
});

test('rules beside one that allows everything are left out', () => {
  const open = [
    httpRule('all', { path: '.*' }),
    httpRule('exact', { path: '/a' }),
    httpRule('get', { method: 'GET' }),
  ];
  const [all] = bytesOf(ingress([httpRule('all', {})]));
  const [beside] = bytesOf(ingress(open));
  assert.deepEqual(beside, all);
});

/** The tree, a line for each node, in the order in which Envoy asks. */
function outline(value: unknown): readonly string[] {
  if (typeof value !== 'object' || value === null) return [];
  const node = new Map(Object.entries(value));
  const matcher = node.get('virtualHosts')?.[0]?.matcher;
  if (matcher !== undefined) return outline(matcher);
  const action = node.get('action');
  if (action !== undefined) return [`-> ${action.typedConfig.name}`];
  const nested = node.get('matcher');
  if (nested !== undefined) return outline(nested);
  const list = node.get('matcherList')?.matchers ?? [];
  const tree = node.get('matcherTree');
  const [kind, map] = Object.entries(tree ?? {}).find(([key]) => key.endsWith('Map')) ?? [];
  return [
    ...list.flatMap((each: { predicate: object; onMatch: object }) => {
      const [first, ...rest] = outline(each.onMatch);
      return [`${predicate(each.predicate)} ${first}`, ...rest];
    }),
    ...Object.entries(Object(map).map ?? {}).flatMap(([key, each]) => [
      `${tree.input.name} ${kind} ${key}`,
      ...outline(each),
    ]),
    ...outline(node.get('onNoMatch')),
  ];
}

function predicate(value: object): string {
  const node = new Map(Object.entries(value));
  if (node.has('orMatcher')) return 'or';
  if (node.has('notMatcher')) return 'not';
  const single = node.get('singlePredicate');
  return `${single.input.name} ${single.valueMatch.exact ?? single.valueMatch.safeRegex.regex}`;
}

const refused: readonly (readonly [string, Compiled, RegExp])[] = [
  [
    'a regex that breaks out of its group',
    ingress([httpRule('a', { path: 'a)|(b' })]),
    /missing|unexpected|paren/i,
  ],
  ['a regex that RE2 does not have', ingress([httpRule('a', { path: '(?=x)' })]), /./],
  ['a regex of a monstrous size', ingress([httpRule('a', { path: '((a{100}){100})' })]), /./],
  [
    'a change of the host header',
    ingress([
      httpRule('a', { headerMatches: [{ name: 'Host', value: 'x', secret: false, mismatch: 'REPLACE' }] }),
    ]),
    /cannot add, delete or replace the header "host"/,
  ],
  [
    'a header value with a line break',
    ingress([
      httpRule('a', { headerMatches: [{ name: 'X', value: 'a\r\nb', secret: false, mismatch: 'ADD' }] }),
    ]),
    /holds a line break/,
  ],
  [
    'more overlapping actions than fit',
    ingress(
      Array.from({ length: 9 }, (_, index) =>
        httpRule(`r${index}`, {
          path: `/a.{${index}}.*`,
          headerMatches: [{ name: `x-${index}`, value: 'v', secret: false, mismatch: 'ADD' }],
        }),
      ),
    ),
    /9 rules with header actions can match one request/,
  ],
  [
    'more actions of one rule than can be combined',
    ingress([
      httpRule('a', {
        headerMatches: Array.from({ length: 40 }, (_, index) => ({
          name: `x-${index}`,
          value: 'v',
          secret: false,
          mismatch: 'ADD' as const,
        })),
      }),
    ]),
    /combine in more than the 20000 ways/,
  ],
  [
    'actions of one side beside many rules of the other',
    compileClassRoutes(
      testClass('one', 1, {
        egress: Array.from({ length: 3_000 }, (_, index) => httpRule(`out${index}`, { path: `/${index}` })),
        ingress: Array.from({ length: 3_000 }, (_, index) =>
          httpRule(`in${index}`, {
            path: `/${index}`,
            headerMatches: [{ name: 'x', value: `${index}`, secret: false, mismatch: 'ADD' }],
          }),
        ),
      }),
    ),
    /combine in more than the 20000 ways/,
  ],
  [
    'a kind that no proxy serves',
    compileClassRoutes({ ...testClass('one', 1, { ingress: [] }), kind: 'kafka' }),
    /kafka/,
  ],
];

for (const [what, compiled, words] of refused) {
  test(`refuses ${what}`, () => {
    assert.equal(compiled.kind, 'refused');
    if (compiled.kind === 'refused') assert.match(compiled.problem.message, words);
  });
}
