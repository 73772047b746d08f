/** Another filter makes other classes. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { createEngine } from '@weir/l7-policy';

const policy = (kind: string) => `apiVersion: cilium.io/v2
kind: CiliumNetworkPolicy
metadata: {name: p, namespace: default}
spec:
  endpointSelector: {matchLabels: {app: broker}}
  ingress:
  - toPorts:
    - ports: [{port: "9092", protocol: TCP}]
      rules: {${kind}: [{}]}
`;

/** Slots, sets and classes with a filter. */
function names(kind: string, kafkaFilter: string): readonly string[] {
  const engine = createEngine({ kafkaFilter });
  const labels = ['k8s:app=broker', 'k8s:io.kubernetes.pod.namespace=default'];
  engine.apply([
    {
      kind: 'set-endpoint',
      endpoint: { id: 'broker', labels, addresses: ['10.0.0.1'], namedPorts: [], local: true },
    },
  ]);
  engine.setFile('p.yaml', policy(kind));
  const { slots, sets, classes } = engine.state();
  return [...slots.keys(), ...sets.keys(), ...classes.keys()];
}

test('Kafka rules have other slots, sets and classes with another filter, and HTTP rules the same', () => {
  const [one, two] = [names('kafka', 'one'), names('kafka', 'two')];
  assert.equal(one.length, 3);
  assert.deepEqual(
    one.filter((name) => two.includes(name)),
    [],
  );
  assert.deepEqual(names('kafka', 'one'), one);
  assert.deepEqual(names('http', 'one'), names('http', 'two'));
});
