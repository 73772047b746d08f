import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { parseWorkloads } from '@weir/agent';
import { refused } from './workloads.testdata.ts';

describe('workloads file', () => {
  it('gives every field, with defaults', () => {
    const text = `workloads:
  - {name: web, labels: {app: web, "container:x": y}, interface: veth1, addresses: [10.0.0.1, "FD00:0::1"], namedPorts: {http: 80/TCP}, denyAction: reset}
  - {name: db, namespace: data, labels: {app: db}, netns: db-ns, addresses: [10.0.0.2]}
`;
    const result = parseWorkloads(text, 'w.yaml');
    assert.deepEqual(result, {
      kind: 'workloads',
      workloads: [
        {
          name: 'web',
          namespace: 'default',
          labels: { app: 'web', 'container:x': 'y' },
          attachment: { kind: 'interface', name: 'veth1' },
          addresses: ['10.0.0.1', 'fd00::1'],
          namedPorts: { http: { port: 80, protocol: 'TCP' } },
          denyAction: 'reset',
        },
        {
          name: 'db',
          namespace: 'data',
          labels: { app: 'db' },
          attachment: { kind: 'netns', netns: 'db-ns', link: 'eth0' },
          addresses: ['10.0.0.2'],
          namedPorts: {},
        },
      ],
    });
  });

  for (const { name, text, at, says } of refused) {
    it(`refuses ${name} at ${at}`, () => {
      const result = parseWorkloads(text, 'w.yaml');
      assert.equal(result.kind, 'refused');
      if (result.kind !== 'refused') return;
      const problems = result.problems.map(
        ({ file, line, column, message }) => `${file}:${line}:${column}: ${message}`,
      );
      const found = result.problems.filter((problem) => says.test(problem.message));
      assert.ok(found.length > 0, problems.join('\n'));
      assert.deepEqual(found.map(({ line, column }) => `${line}:${column}`).at(0), at, problems.join('\n'));
    });
  }
});
