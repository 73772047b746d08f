import assert from 'node:assert/strict';
import { suite, test } from 'node:test';
import { folderOf, runWeir } from './run-weir.ts';

/** A document with these lines as its HTTP rules, the first on line 11. */
const withRules = (...lines: readonly string[]) => `apiVersion: cilium.io/v2
kind: CiliumNetworkPolicy
metadata: {name: api, namespace: shop}
spec:
  endpointSelector: {matchLabels: {app: api}}
  ingress:
  - fromEndpoints: [{}]
    toPorts:
    - ports: [{port: "80", protocol: TCP}]
      rules:
        http:
${lines.map((line) => `        - ${line}`).join('\n')}
`;
const acting = (index: number) =>
  `{path: "/a${index}/.*", headerMatches: [{name: X-${index}, value: v, mismatch: ADD}]}`;
const overlapping = (index: number) =>
  `{path: "/.*${index}", headerMatches: [{name: X-${index}, value: v, mismatch: ADD}]}`;

suite('weir policy validate', () => {
  test('says nothing of what the proxy can enforce', (context) => {
    const directory = folderOf(context, {
      'a.yaml': withRules('{path: /a, headerMatches: [{name: X, secret: {name: token}, mismatch: ADD}]}'),
    });
    const run = runWeir(directory, 'policy', 'validate', 'a.yaml');
    assert.deepEqual([run.status, run.lastLine], [0, 'no problems'], run.stdout + run.stderr);
  });

  for (const { name, rules, says } of [
    {
      name: 'more header actions than can meet in one request',
      rules: ['{path: /b}', ...Array.from({ length: 7 }, (_, index) => overlapping(index))],
      says: /^a\.yaml:13:\d+: error: the proxy cannot enforce this: 7 rules with header actions can match one request, more than the 6 /m,
    },
    {
      name: 'a regex that costs too much',
      rules: ['{path: /b}', '{path: "/(a{1,200}b{1,200}){20}"}'],
      says: /^a\.yaml:\d+:\d+: error: /m,
    },
    {
      name: 'a header that no proxy may change',
      rules: ['{path: /b, headerMatches: [{name: Host, value: v, mismatch: REPLACE}]}'],
      says: /^a\.yaml:12:\d+: error: the proxy cannot enforce this: the proxy cannot add, delete or replace the header "host"/m,
    },
  ]) {
    test(`refuses ${name}, with its place`, (context) => {
      const directory = folderOf(context, { 'a.yaml': withRules(...rules) });
      const run = runWeir(directory, 'policy', 'validate', 'a.yaml');
      assert.equal(run.status, 1);
      assert.match(run.stdout, says);
    });
  }

  test('lists what is wrong in the order of the file, with what was meant', (context) => {
    const text = `apiVersion: cilium.io/v2
kind: CiliumNetworkPolicy
metadata: {name: web}
spec:
  endpointSelector: {matchlabels: {app: web}}
  ingres: []
  ingress:
  - fromEntities: [wrold]
    toPorts: [{ports: [{port: 80, protocol: TPC}]}]
`;
    const run = runWeir(folderOf(context, { 'a.yaml': text }), 'policy', 'validate', 'a.yaml');
    assert.equal(run.status, 1);
    assert.deepEqual(run.stdout.trimEnd().split('\n'), [
      'a.yaml:5:22: error: unknown field "matchlabels" in endpointSelector',
      '  did you mean "matchLabels"?',
      'a.yaml:6:3: error: unknown field "ingres" in spec',
      '  did you mean "ingress"?',
      'a.yaml:8:20: error: unsupported entity: wrold',
      '  did you mean "world"?',
      'a.yaml:9:31: error: toPorts[].ports[].port must be a text, not a number',
      '  put it in quotes',
      'a.yaml:9:35: error: invalid protocol "TPC"',
      '  use TCP, UDP, SCTP or ANY',
      '5 errors, 0 warnings',
    ]);
  });

  test('takes any number of header actions behind prefixes that exclude each other', (context) => {
    const rules = Array.from({ length: 30 }, (_, index) => acting(index));
    const run = runWeir(folderOf(context, { 'a.yaml': withRules(...rules) }), 'policy', 'validate', 'a.yaml');
    assert.equal(run.status, 0, run.stdout);
  });
});
