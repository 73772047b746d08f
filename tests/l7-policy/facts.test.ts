import assert from 'node:assert/strict';
import { suite, test } from 'node:test';
import { createEngine, type Engine, identity } from '@weir/l7-policy';

const egress = (peers: string) => `apiVersion: cilium.io/v2
kind: CiliumNetworkPolicy
metadata: {name: out}
spec:
  endpointSelector: {matchLabels: {app: a}}
  egress:
  - ${peers}
`;

function withApp(peers: string): Engine {
  const engine = createEngine();
  const labels = ['k8s:app=a', 'k8s:io.kubernetes.pod.namespace=default'];
  engine.apply([
    {
      kind: 'set-endpoint',
      endpoint: { id: 'a', labels, addresses: ['10.0.0.1'], namedPorts: [], local: true },
    },
    { kind: 'set-file', file: 'out.yaml', text: egress(peers) },
  ]);
  assert.deepEqual(engine.problems(), []);
  return engine;
}

function reaches(engine: Engine, addresses: readonly string[]): string[] {
  return addresses.filter(
    (address) =>
      engine.explain({
        from: { kind: 'endpoint', id: 'a' },
        to: { kind: 'address', address },
        protocol: 6,
        port: 443,
        direction: null,
        request: null,
      }).verdict === 'allowed',
  );
}

suite('names and addresses', () => {
  const all = ['192.0.2.1', '192.0.2.2', '192.0.2.3'];

  test('addresses follow what names resolve to, and leave nothing behind', () => {
    const engine = withApp('toFQDNs: [{matchName: one.example}, {matchPattern: "*.two.example"}]');
    const set = (name: string, ...addresses: string[]) =>
      engine.apply([{ kind: 'set-dns', name, addresses }]);
    set('ONE.example.', '192.0.2.1', '192.0.2.1');
    set('x.two.example', '192.0.2.1', '192.0.2.2');
    set('three.example', '192.0.2.3');
    assert.deepEqual(reaches(engine, all), ['192.0.2.1', '192.0.2.2']);
    // Still held by the other name.
    set('one.example');
    assert.deepEqual(reaches(engine, all), ['192.0.2.1', '192.0.2.2']);
    const { delta } = set('x.two.example', '192.0.2.3');
    assert.deepEqual(reaches(engine, all), ['192.0.2.3']);
    assert.deepEqual([...delta.ipcache.set.keys()], ['192.0.2.3/32']);
    assert.deepEqual([...delta.ipcache.removed].sort(), ['192.0.2.1/32', '192.0.2.2/32']);
    set('x.two.example');
    set('three.example');
    assert.deepEqual(reaches(engine, all), []);
    assert.deepEqual([...engine.state().ipcache.keys()].sort(), ['0.0.0.0/0', '10.0.0.1/32', '::/0']);
  });

  test('names that resolved before a rule spoke of them count', () => {
    const engine = withApp('toEntities: [none]');
    engine.apply([{ kind: 'set-dns', name: 'one.example', addresses: ['192.0.2.1'] }]);
    engine.setFile('out.yaml', egress('toFQDNs: [{matchPattern: "*"}]'));
    assert.deepEqual(reaches(engine, all), ['192.0.2.1']);
    engine.setFile('out.yaml', egress('toEntities: [none]'));
    assert.deepEqual(reaches(engine, all), []);
    assert.equal(engine.state().ipcache.has('192.0.2.1/32'), false);
  });

  test('groups and services change what rules that name them reach', () => {
    const engine = withApp('toCIDRSet: [{cidrGroupRef: g}]');
    const group = (cidr: string) =>
      `apiVersion: cilium.io/v2\nkind: CiliumCIDRGroup\nmetadata: {name: g}\nspec: {externalCIDRs: ["${cidr}"]}\n`;
    engine.setFile('g.yaml', group('192.0.2.1/32'));
    assert.deepEqual(reaches(engine, all), ['192.0.2.1']);
    engine.setFile('g.yaml', group('192.0.2.2/31'));
    assert.deepEqual(reaches(engine, all), ['192.0.2.2', '192.0.2.3']);
    engine.removeFile('g.yaml');
    assert.deepEqual(reaches(engine, all), []);

    engine.setFile('out.yaml', egress('toServices: [{k8sService: {serviceName: s}}]'));
    const service = (addresses: string[]) =>
      engine.apply([
        {
          kind: 'set-service',
          service: { namespace: 'default', name: 's', labels: {}, selector: null, addresses },
        },
      ]);
    service(['192.0.2.1']);
    assert.deepEqual(reaches(engine, all), ['192.0.2.1']);
    service(['192.0.2.3']);
    assert.deepEqual(reaches(engine, all), ['192.0.2.3']);
    engine.apply([{ kind: 'remove-service', namespace: 'default', name: 's' }]);
    assert.deepEqual(reaches(engine, all), []);
  });

  test('an address elsewhere in the cluster is its identity, and no CIDR rule selects it', () => {
    const engine = withApp('toCIDR: ["192.0.2.0/24"]');
    engine.apply([
      {
        kind: 'set-identity',
        identity: identity(4242),
        labels: ['k8s:app=b', 'k8s:io.kubernetes.pod.namespace=default'],
      },
      { kind: 'set-address', prefix: '192.0.2.2/32', identity: identity(4242) },
    ]);
    assert.deepEqual(reaches(engine, all), ['192.0.2.1', '192.0.2.3']);
    engine.setFile('out.yaml', egress('toEndpoints: [{matchLabels: {app: b}}]'));
    assert.deepEqual(reaches(engine, all), ['192.0.2.2']);
    engine.apply([
      { kind: 'remove-identity', identity: identity(4242) },
      { kind: 'remove-address', prefix: '192.0.2.2/32' },
    ]);
    assert.deepEqual(reaches(engine, all), []);
  });
});

suite('identities', () => {
  const pod = (id: string, ...labels: string[]) =>
    ({ kind: 'set-endpoint', endpoint: { id, labels, addresses: [], namedPorts: [], local: true } }) as const;

  test('labels that change with every pod do not count', () => {
    const engine = createEngine();
    engine.apply([
      pod('a', 'k8s:app=x', 'k8s:pod-template-hash=1'),
      pod('b', 'k8s:app=x', 'k8s:pod-template-hash=2'),
    ]);
    const [a, b] = ['a', 'b'].map((id) => engine.state().endpoints.get(id)!);
    assert.equal(a!.identity, b!.identity);
    assert.equal(a!.subject, b!.subject);
    assert.deepEqual(engine.labelsOf(a!.identity), ['k8s:app=x']);
    assert.equal(engine.state().subjects.size, 1);
  });

  test('own label patterns decide', () => {
    const engine = createEngine({ identityLabels: ['k8s:app', '!k8s:app[.]kubernetes'] });
    engine.apply([pod('a', 'k8s:app=x', 'k8s:tier=y', 'k8s:app.kubernetes.io/name=z')]);
    assert.deepEqual(engine.labelsOf(engine.state().endpoints.get('a')!.identity), ['k8s:app=x']);
  });

  test('an endpoint without labels is starting', () => {
    const engine = createEngine();
    engine.apply([pod('a')]);
    const { identity: number, subject } = engine.state().endpoints.get('a')!;
    assert.equal(number, 5);
    const { ingress, egress } = engine.state().subjects.get(subject)!;
    assert.ok(ingress !== null && egress !== null);
  });

  test('named ports make another subject of the same identity', () => {
    const engine = createEngine();
    const labels = ['k8s:app=x'];
    engine.apply(
      [80, 8080].map((port) => ({
        kind: 'set-endpoint',
        endpoint: {
          id: `p${port}`,
          labels,
          addresses: [],
          namedPorts: [{ name: 'web', port, protocol: 'TCP' }],
          local: true,
        },
      })),
    );
    const subjects = [...engine.state().subjects.values()];
    assert.equal(subjects.length, 2);
    assert.equal(subjects[0]!.identity, subjects[1]!.identity);
  });
});
