import assert from 'node:assert/strict';
import { suite, test } from 'node:test';
import { createEngine } from '@weir/l7-policy';

const document = (item: string): string => `apiVersion: cilium.io/v2
kind: CiliumNetworkPolicy
metadata: {name: nulls}
spec:
  endpointSelector: {}
  ingress:
  - ${item}
`;
const ports = 'ports: [{port: "80", protocol: TCP}]';
const cases: readonly (readonly [field: string, item: string])[] = [
  ['ingress[].toPorts', 'toPorts:'],
  ['toPorts[].rules', `toPorts: [{${ports}, rules: }]`],
  ['toPorts[].serverNames', `toPorts: [{${ports}, serverNames: null}]`],
  ['rules.http[].path', `toPorts: [{${ports}, rules: {http: [{method: GET, path: ~}]}}]`],
  ['rules.http[].headers', `toPorts: [{${ports}, rules: {http: [{headers: null}]}}]`],
  ['rules.grpc[].method', `toPorts: [{${ports}, rules: {grpc: [{service: a.B, method: null}]}}]`],
  ['rules.kafka[].topic', `toPorts: [{${ports}, rules: {kafka: [{role: produce, topic: null}]}}]`],
];

suite('a condition with nothing behind it', () => {
  for (const [field, item] of cases) {
    test(`${field} is warned of`, () => {
      const engine = createEngine({});
      engine.setFile('a.yaml', document(item));
      const told = engine.problems().map(({ severity, message }) => `${severity}: ${message}`);
      const wanted = `warning: ${field} has nothing behind it, which is as if it were missing: it limits nothing`;
      assert.ok(told.includes(wanted), told.join('\n'));
    });
  }
});
