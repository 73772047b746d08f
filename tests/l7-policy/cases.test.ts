import assert from 'node:assert/strict';
import { globSync, readFileSync } from 'node:fs';
import { resolve } from 'node:path';
import { test } from 'node:test';
import { PolicyTestFileError, runPolicyTests } from '@weir/l7-policy';

const folder = resolve(import.meta.dirname, 'cases');

for (const file of globSync('*.yaml', { cwd: folder }).sort()) {
  for (const item of runPolicyTests(readFileSync(resolve(folder, file), 'utf8'), file)) {
    test(`${file}:${item.line}: ${item.test}: ${item.title}`, () => assert.ok(item.passed, item.message));
  }
}

test('a file that is no list of cases is refused', () => {
  assert.throws(() => runPolicyTests('cases: 3\n', 't.yaml'), PolicyTestFileError);
});

test('a probe that comes out otherwise fails with the reason', () => {
  const text = `cases:
- name: x
  endpoints:
    a: {labels: {"k8s:app": a, "k8s:io.kubernetes.pod.namespace": default}, ips: ["10.0.0.1"]}
  policies: |
    apiVersion: cilium.io/v2
    kind: CiliumNetworkPolicy
    metadata: {name: p}
    spec:
      endpointSelector: {}
      ingress:
      - toPorts: [{ports: [{port: "80", protocol: TCP}], rules: {http: [{path: /a}]}}]
  probes:
  - {from: "ip:1.1.1.1", to: a, port: 80, protocol: TCP, http: {method: GET, path: "/a?x"}, verdict: allowed}
`;
  const failed = runPolicyTests(text, 't.yaml').filter((item) => !item.passed);
  assert.deepEqual(
    failed.map(({ line, message }) => [line, message]),
    [
      [
        14,
        'expected allowed, but it is denied: allowed by no rule; nearest: t.yaml:12:73, ' +
          'path `/a?x` does not match `/a`; it would without the query string',
      ],
    ],
  );
});
