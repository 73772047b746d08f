// Random documents with every kind of peer, port and rule, and facts of every kind: for properties that need no
// model of what a document means. L7 rules are all HTTP, so that no document is refused for another.
import type { EngineChange, Flow, L7Request, PeerRef } from '@weir/l7-policy';
import fc from 'fast-check';

/** A Cilium or Kubernetes document as plain values. */
export interface WideDocument {
  readonly name: string;
  readonly value: unknown;
}

const one = <T>(...items: readonly T[]) => fc.constantFrom(...items);
const some = <T>(arbitrary: fc.Arbitrary<T>) => fc.array(arbitrary, { minLength: 1, maxLength: 2 });
const optional = <T>(arbitrary: fc.Arbitrary<T>) => fc.option(arbitrary, { nil: undefined });

const namespace = 'io.kubernetes.pod.namespace';
const namespaces = ['shop', 'lab'] as const;
const expression = fc
  .record({
    key: one('app', 'k8s:team', 'any:app', 'container:app', namespace),
    operator: one('In', 'NotIn', 'Exists', 'DoesNotExist'),
  })
  .map((item) => (item.operator.endsWith('In') ? { ...item, values: ['a', 'shop'] } : item));
const selector = fc.oneof(
  { weight: 3, arbitrary: fc.constant({}) },
  { weight: 4, arbitrary: one('a', 'b').map((app) => ({ matchLabels: { app } })) },
  {
    weight: 2,
    arbitrary: fc.record({
      matchLabels: fc.dictionary(one('app', 'k8s:team'), one('a', 'b'), { maxKeys: 1 }),
      matchExpressions: fc.array(expression, { maxLength: 1 }),
    }),
  },
  { weight: 1, arbitrary: one(...namespaces).map((value) => ({ matchLabels: { [namespace]: value } })) },
);
const name = one({ matchName: 'pay.example.com' }, { matchPattern: '*.example.com' }, { matchPattern: '*' });
const cidrSet = one<unknown>(
  { cidr: '192.0.2.0/24' },
  { cidr: '192.0.2.0/24', except: ['192.0.2.7/32', '192.0.2.64/26'] },
  { cidr: '0.0.0.0/0', except: ['192.0.2.0/24'] },
  { cidrGroupRef: 'partners' },
  { cidrGroupSelector: { matchLabels: { kind: 'a' } } },
);
const service = one(
  { k8sService: { serviceName: 'back' } },
  { k8sServiceSelector: { selector: { matchLabels: { tier: 'out' } } } },
);

function peers(side: 'from' | 'to', deny: boolean): fc.Arbitrary<Record<string, unknown>> {
  const lists: Record<string, fc.Arbitrary<unknown>> = {
    Endpoints: fc.array(selector, { maxLength: 2 }),
    Entities: some(one('all', 'world', 'cluster', 'host', 'remote-node', 'init', 'kube-apiserver')),
    CIDR: some(one('192.0.2.0/25', '192.0.2.7/32', '2001:db8::/32', '::/0')),
    CIDRSet: some(cidrSet),
    Nodes: some(one({}, { matchLabels: { 'node:zone': 'a' } })),
    ...(side === 'to' ? { Services: some(service), ...(deny ? {} : { FQDNs: some(name) }) } : {}),
  };
  const weights: Readonly<Record<string, number>> = { Endpoints: 4, Entities: 2 };
  return fc.oneof(
    { weight: 3, arbitrary: fc.constant({}) },
    ...Object.entries(lists).map(([kind, list]) => ({
      weight: weights[kind] ?? 1,
      arbitrary: list.map((value) => ({ [`${side}${kind}`]: value })),
    })),
  );
}

const port = fc.record({
  port: one('80', '8080', '443', 'web', 'dns', '0'),
  protocol: one('TCP', 'UDP', 'ANY'),
});
const range = fc.record({
  port: one('80', '8000'),
  endPort: one(80, 90, 8080, 65_535),
  protocol: one('TCP'),
});
const httpPort = fc.oneof(fc.record({ port: one('80', '8080', 'web'), protocol: one('TCP') }), range);
const http = fc.record(
  { method: one('GET', 'GET|PUT'), path: one('/a', '/[ab]', '/b.*') },
  { requiredKeys: [] },
);
const plainPorts = fc.record({ ports: some(fc.oneof(port, range)) });
const httpPorts = fc.record({ ports: some(httpPort), rules: fc.record({ http: some(http) }) });
const toPorts = (deny: boolean) =>
  deny ? plainPorts : fc.oneof({ weight: 1, arbitrary: plainPorts }, { weight: 5, arbitrary: httpPorts });
const icmps = one(
  { fields: [{ type: 8 }] },
  { fields: [{ type: 'EchoRequest', family: 'IPv6' }, { type: 3 }] },
);

const item = (side: 'from' | 'to', deny: boolean): fc.Arbitrary<unknown> =>
  fc
    .tuple(
      peers(side, deny),
      fc.oneof(
        { weight: 1, arbitrary: fc.constant({}) },
        { weight: 8, arbitrary: fc.record({ toPorts: some(toPorts(deny)) }) },
        { weight: 1, arbitrary: fc.record({ icmps: some(icmps) }) },
      ),
    )
    .map(([who, what]) => ({ ...who, ...what }));

/** Denies are half as likely as allows. */
const section = (side: 'from' | 'to', deny: boolean) =>
  fc.option(fc.array(item(side, deny), { maxLength: 2 }), { nil: undefined, freq: deny ? 1 : 4 });

const ciliumSpec = fc
  .record({
    endpointSelector: selector,
    enableDefaultDeny: optional(
      fc.record({ ingress: fc.boolean(), egress: fc.boolean() }, { requiredKeys: [] }),
    ),
    ingress: section('from', false),
    egress: section('to', false),
    ingressDeny: section('from', true),
    egressDeny: section('to', true),
  })
  .filter(({ ingress, egress, ingressDeny, egressDeny }) =>
    [ingress, egress, ingressDeny, egressDeny].some((list) => list !== undefined && list.length > 0),
  );

const kubernetesPeer = fc.oneof(
  fc.record({ ipBlock: one({ cidr: '192.0.2.0/24', except: ['192.0.2.7/32'] }, { cidr: '0.0.0.0/0' }) }),
  fc.record({ podSelector: one({}, { matchLabels: { app: 'a' } }) }),
  fc.record({
    namespaceSelector: one(
      {},
      { matchLabels: { kind: 'x' } },
      { matchExpressions: [{ key: 'kind', operator: 'DoesNotExist' }] },
    ),
    podSelector: one({}, { matchLabels: { app: 'b' } }),
  }),
);
const kubernetesItem = (side: 'from' | 'to') =>
  fc.record(
    {
      [side]: fc.array(kubernetesPeer, { maxLength: 2 }),
      ports: fc.array(
        one<unknown>({ port: 80 }, { port: 'web' }, { port: 80, endPort: 90 }, { protocol: 'UDP' }),
        {
          maxLength: 2,
        },
      ),
    },
    { requiredKeys: [] },
  );
const kubernetesSpec = fc.record(
  {
    podSelector: one({}, { matchLabels: { app: 'a' } }),
    policyTypes: one(['Ingress'], ['Egress'], ['Ingress', 'Egress']),
    ingress: fc.array(kubernetesItem('from'), { maxLength: 2 }),
    egress: fc.array(kubernetesItem('to'), { maxLength: 2 }),
  },
  { requiredKeys: ['podSelector'] },
);

function document(
  kind: string,
  names: readonly string[],
  spec: fc.Arbitrary<unknown>,
): fc.Arbitrary<WideDocument> {
  const apiVersion = kind === 'NetworkPolicy' ? 'networking.k8s.io/v1' : 'cilium.io/v2';
  const clusterwide = kind === 'CiliumClusterwideNetworkPolicy';
  return fc
    .record({ called: one(...names), of: one(...namespaces), spec })
    .map(({ called, of, spec: content }) => ({
      name: `${kind}-${clusterwide ? '' : of}-${called}`,
      value: {
        apiVersion,
        kind,
        metadata: clusterwide ? { name: called } : { name: called, namespace: of },
        spec: content,
      },
    }));
}

export const wideDocument: fc.Arbitrary<WideDocument> = fc.oneof(
  { weight: 5, arbitrary: document('CiliumNetworkPolicy', ['p', 'q', 'r'], ciliumSpec) },
  { weight: 2, arbitrary: document('CiliumClusterwideNetworkPolicy', ['p', 'q'], ciliumSpec) },
  { weight: 2, arbitrary: document('NetworkPolicy', ['p'], kubernetesSpec) },
);

/** A document that leaves default deny as it is and only denies, or only allows. */
export const wideAddition = (deny: boolean): fc.Arbitrary<WideDocument> =>
  document(
    'CiliumClusterwideNetworkPolicy',
    ['addition'],
    fc.record({
      endpointSelector: selector,
      enableDefaultDeny: fc.constant({ ingress: false, egress: false }),
      [deny ? 'ingressDeny' : 'ingress']: fc.array(item('from', deny), { minLength: 1, maxLength: 2 }),
      [deny ? 'egressDeny' : 'egress']: fc.array(item('to', deny), { minLength: 1, maxLength: 2 }),
    }),
  );

export const setWide = ({ name: called, value }: WideDocument): EngineChange => ({
  kind: 'set-file',
  file: `${called}.yaml`,
  text: JSON.stringify(value),
});

const pod = (
  id: string,
  address: string,
  labels: readonly string[],
  ports: Record<string, number>,
): EngineChange => ({
  kind: 'set-endpoint',
  endpoint: {
    id,
    labels,
    addresses: [address],
    namedPorts: Object.entries(ports).map(([called, number]) => ({
      name: called,
      port: number,
      protocol: 'TCP',
    })),
    local: !id.startsWith('far'),
  },
});
const podLabels = (app: string, namespace: string, ...more: readonly string[]) => [
  `k8s:app=${app}`,
  `k8s:io.kubernetes.pod.namespace=${namespace}`,
  `k8s:io.cilium.k8s.namespace.labels.kind=${namespace === 'shop' ? 'x' : 'y'}`,
  ...more,
];

/** The workload `far` is of another node. */
export const farAddress = '172.16.0.2';

/** Each fact in some states; a world has each in one of them, and updates move between them. */
const facts: readonly (readonly EngineChange[])[] = [
  [
    pod('a', '10.0.0.1', podLabels('a', 'shop', 'k8s:team=a'), { web: 80 }),
    pod('a', '10.0.0.1', podLabels('b', 'shop'), { web: 8080 }),
    pod('a', '10.0.0.9', podLabels('a', 'lab'), {}),
  ],
  [
    pod('b', '10.0.0.2', podLabels('b', 'lab', 'k8s:team=b'), { web: 8080 }),
    pod('b', '10.0.0.2', podLabels('a', 'shop', 'k8s:team=a'), { web: 80 }),
  ],
  [pod('box', '10.0.0.3', ['container:app=a'], {}), pod('box', '10.0.0.3', ['reserved:init='], { web: 80 })],
  [
    pod('host', '172.16.0.1', ['reserved:host='], {}),
    pod('host', '172.16.0.1', ['reserved:host=', 'node:zone=a'], {}),
  ],
  [
    pod('far', farAddress, ['reserved:remote-node=', 'node:zone=a'], {}),
    pod('far', farAddress, ['reserved:remote-node=', 'reserved:kube-apiserver='], {}),
  ],
  [
    { kind: 'set-dns', name: 'pay.example.com', addresses: ['192.0.2.7'] },
    { kind: 'set-dns', name: 'pay.example.com', addresses: ['192.0.2.70', '198.51.100.1'] },
    { kind: 'set-dns', name: 'pay.example.com', addresses: [] },
  ],
  ['192.0.2.70', '10.0.0.2'].map((address): EngineChange => {
    const service = {
      namespace: 'shop',
      name: 'out',
      labels: { tier: 'out' },
      selector: null,
      addresses: [address],
    };
    return { kind: 'set-service', service };
  }),
  ['a', 'b'].map((app): EngineChange => {
    const service = { namespace: 'lab', name: 'back', labels: {}, selector: { app }, addresses: [] };
    return { kind: 'set-service', service };
  }),
  ['192.0.2.64/26', '198.51.100.0/24'].map((prefix): EngineChange => {
    const group = {
      apiVersion: 'cilium.io/v2',
      kind: 'CiliumCIDRGroup',
      metadata: { name: 'partners', labels: { kind: prefix.startsWith('192') ? 'a' : 'b' } },
      spec: { externalCIDRs: [prefix] },
    };
    return { kind: 'set-file', file: 'group.yaml', text: JSON.stringify(group) };
  }),
];

/** One state of every fact. */
export const wideWorld: fc.Arbitrary<readonly EngineChange[]> = fc.tuple(
  ...facts.map((states) => fc.constantFrom(...states)),
);

/** A fact that changes. */
export const wideFact: fc.Arbitrary<EngineChange> = fc.constantFrom(...facts.flat());

const requests: readonly (L7Request | null)[] = [
  null,
  { kind: 'http', method: 'GET', path: '/a', host: '', headers: [] },
  { kind: 'http', method: 'PUT', path: '/bc', host: '', headers: [] },
];

/** Connections and requests between the ends of the world, one direction at a time. */
export function* wideFlows(): Iterable<Flow> {
  const own: readonly PeerRef[] = ['a', 'b', 'box', 'host'].map((id) => ({ kind: 'endpoint', id }));
  const ends: readonly PeerRef[] = [
    ...own,
    { kind: 'endpoint', id: 'far' },
    ...['192.0.2.7', '192.0.2.70', '198.51.100.1', '2001:db8::1'].map(
      (address): PeerRef => ({ kind: 'address', address }),
    ),
  ];
  for (const subject of own) {
    for (const peer of ends) {
      for (const direction of ['ingress', 'egress'] as const) {
        const [from, to] = direction === 'egress' ? [subject, peer] : [peer, subject];
        yield { from, to, protocol: 1, port: 8, request: null, direction };
        yield { from, to, protocol: 17, port: 80, request: null, direction };
        for (const port of [80, 85, 8080]) {
          for (const request of requests) yield { from, to, protocol: 6, port, request, direction };
        }
      }
    }
  }
}
