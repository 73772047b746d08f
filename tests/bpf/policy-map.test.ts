// The policy maps as the reconcile fills them: what it believes is there is there, an update that does not fit leaves
// everything as it was, and another process finds its way.
import assert from 'node:assert/strict';
import { after, describe, test } from 'node:test';
import { openDatapath } from '@weir/bpf';
import { createEngine, createLocalAllocator } from '@weir/l7-policy';
import { type ApplyReport, openRedirector, type Redirector, type StoredAllocation } from '@weir/redirect';
import { runName } from '../run-name.ts';
import { enterOwnNamespace } from './conformance/own-namespace.ts';
import { bpffs, marks, mountBpffs } from './lab.ts';

const interfaces = enterOwnNamespace(import.meta.filename);
mountBpffs();

describe('policy maps under the reconcile', () => {
  const datapath = openDatapath({
    instance: runName('policymap'),
    marks,
    bpffs,
    capacity: { policyPeers: 64, policyTables: 16 },
  });
  after(() => datapath.remove());
  const engine = createEngine({ allocator: createLocalAllocator() });
  let stored: StoredAllocation | undefined;
  const store = {
    load: () => stored,
    save(value: StoredAllocation) {
      stored = value;
    },
  };
  const open = () => openRedirector(datapath, store, { first: 20_000, last: 20_999 });
  let redirector = open();

  engine.apply(
    ['web', 'api'].map((app, at) => ({
      kind: 'set-endpoint',
      endpoint: {
        id: app,
        labels: ['k8s:tier=front', `k8s:app=${app}`, 'k8s:io.kubernetes.pod.namespace=default'],
        addresses: [`10.0.0.${at + 1}`],
        namedPorts: [],
        local: true,
      },
    })),
  );

  /** Lets so many addresses in to every endpoint of the tier. */
  function allow(peers: number, into: Redirector = redirector): ApplyReport {
    const cidrs = Array.from({ length: peers }, (_, at) => `"192.0.2.${at}/32"`).join(', ');
    engine.setFile(
      'a.yaml',
      `apiVersion: cilium.io/v2
kind: CiliumNetworkPolicy
metadata: {name: a, namespace: default}
spec:
  endpointSelector: {matchLabels: {tier: front}}
  ingress: [{fromCIDR: [${cidrs}]}]
`,
    );
    const state = engine.state();
    return into.apply({
      ...state,
      endpoints: [...state.endpoints.values()].map(({ id, ...rest }, at) => {
        return { ...rest, name: id, ifindex: interfaces[at]!, denyAction: 'drop' };
      }),
      uplinks: [],
      workloadPrefixes: [],
      steps: new Map(),
      ready: new Set(state.classes.keys()),
    });
  }

  function held(): string {
    const { subjects, policyPeers, policyTables } = datapath.maps;
    const all = [...subjects.entries(), ...policyPeers.entries(), ...policyTables.entries()];
    return JSON.stringify(all.map((entry) => JSON.stringify(entry)).sort());
  }

  function assertCounted(peers: number): void {
    const { policyPeers, policyTables } = datapath.maps;
    assert.deepEqual(
      redirector.usage().map(({ entries }) => entries),
      [[...policyPeers.entries()].length, [...policyTables.entries()].length],
    );
    assert.equal([...policyPeers.entries()].length, peers);
  }

  test('both subjects share the entries: each address, and the node, which always may', () => {
    assert.deepEqual(allow(20).held, []);
    assertCounted(21);
    const generations = [...datapath.maps.subjects.entries()].map(([, { ingress }]) => ingress);
    assert.equal(new Set(generations).size, 1);
    assert.deepEqual(allow(30).held, []);
    assertCounted(31);
  });

  test('what does not fit is refused whole, and what was in force stays', () => {
    const before = held();
    const report = allow(40);
    assert.equal(report.held.length, 2);
    assert.match(
      report.held.map((item) => (item.kind === 'refused-by-kernel' ? String(item.error) : '')).join('\n'),
      /policy_peers is full: it holds 31 of 64 entries and the update needs 41 more; what was in force stays/,
    );
    assert.equal(held(), before);
    assertCounted(31);
  });

  test('another process takes over what stands there, and goes on', () => {
    redirector = open();
    assertCounted(31);
    const before = held();
    assert.deepEqual(allow(30).held, []);
    assert.equal(held(), before);
    assert.deepEqual(allow(1).held, []);
    assertCounted(2);
  });
});
