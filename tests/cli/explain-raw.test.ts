/** What `weir policy explain --file` says of the bypass corpus is what the real Envoy does with it. */
import assert from 'node:assert/strict';
import { suite, test } from 'node:test';
import { explainQuery } from '@weir/agent';
import { createEngine } from '@weir/l7-policy';
import { bypassCases } from '../envoy-config/bypass.testdata.ts';

const policy = `
apiVersion: cilium.io/v2
kind: CiliumNetworkPolicy
metadata: {name: bypass}
spec:
  endpointSelector: {matchLabels: {app: server}}
  ingress:
  - toPorts:
    - ports: [{port: "80", protocol: TCP}]
      rules:
        http:
        - {method: GET|POST, path: /public/.*}
        - {method: GET, path: /exact}
        - {method: GET, path: /hosted, host: good}
        - {method: GET, path: /keyed, headers: ["X-Key k"]}
`;

const engine = createEngine({});
engine.apply([
  {
    kind: 'set-endpoint',
    endpoint: {
      id: 'server',
      labels: ['k8s:app=server', 'k8s:io.kubernetes.pod.namespace=default'],
      addresses: ['10.0.0.1'],
      namedPorts: [],
      local: true,
    },
  },
  { kind: 'set-file', file: 'policy.yaml', text: policy },
]);
assert.deepEqual(engine.problems(), []);

suite('explain --file', () => {
  for (const each of bypassCases) {
    if (!('http1' in each)) continue;
    test(`${each.name}: ${each.expect.kind}`, () => {
      const raw = each.http1;
      const { verdict, summary, proxy } = explainQuery(engine, {
        from: '192.0.2.1',
        to: 'server',
        port: '80',
        raw,
      });
      const expected = each.expect.kind === 'passes' ? 'allowed' : 'denied';
      assert.equal(verdict, expected, `${summary} ${proxy.join('; ')}`);
      if (each.expect.kind === 'rejected')
        assert.match(summary, /^refused by Envoy before any rule \(4\d\d\)/);
      const [, normalised] = /the path is normalised to `(.*)`/.exec(proxy.join()) ?? [];
      const [server = ''] = each.expect.kind === 'passes' ? each.expect.server : [];
      if (normalised !== undefined && server !== '') assert.equal(server.split(' ')[1], normalised);
    });
  }
});
