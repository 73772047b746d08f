// Random policies as plain values, their documents, and what they mean, worked out naively: rule by rule, with no
// table, set or group. The engine must agree with it on every probe.
import fc from 'fast-check';

export interface ModelEndpoint {
  readonly id: string;
  readonly namespace: string;
  readonly labels: Readonly<Record<string, string>>;
  readonly address: string;
  readonly ports: Readonly<Record<string, number>>;
}

export interface ModelSelector {
  readonly matchLabels: Readonly<Record<string, string>>;
  readonly notIn: { readonly key: string; readonly values: readonly string[] } | null;
}

export type ModelPeers =
  | { readonly kind: 'none' }
  | { readonly kind: 'endpoints'; readonly selectors: readonly ModelSelector[] }
  | {
      readonly kind: 'entities';
      readonly names: readonly ('all' | 'world' | 'cluster' | 'host' | 'remote-node')[];
    }
  | { readonly kind: 'cidr'; readonly cidr: string; readonly except: string | null };

export interface ModelPort {
  readonly port: number | 'web' | 'metrics';
  readonly end: number | null;
  readonly protocol: 'TCP' | 'UDP' | 'ANY';
}

export interface ModelHttp {
  readonly method: string | null;
  readonly path: string | null;
}

export interface ModelItem {
  readonly direction: 'ingress' | 'egress';
  readonly deny: boolean;
  readonly peers: ModelPeers;
  /** Empty: none are named. */
  readonly ports: readonly ModelPort[];
  /** Empty: L4 alone. */
  readonly http: readonly ModelHttp[];
}

export interface ModelPolicy {
  readonly name: string;
  /** null: clusterwide. */
  readonly namespace: string | null;
  readonly subject: ModelSelector;
  readonly enableDefaultDeny: { readonly ingress?: boolean; readonly egress?: boolean };
  readonly items: readonly ModelItem[];
}

const keys = ['app', 'env'] as const;
const values = ['a', 'b', 'c'] as const;
const namespaces = ['n1', 'n2'] as const;
/** Addresses outside the cluster that are probed, in and out of the CIDRs below. */
export const outside = ['192.0.2.1', '192.0.2.130', '198.51.100.7', '2001:db8::1'] as const;
const cidrs = [
  '192.0.2.0/24',
  '192.0.2.128/25',
  '0.0.0.0/0',
  '198.51.100.7/32',
  '2001:db8::/32',
  '::/0',
] as const;
const holes: Readonly<Record<string, readonly string[]>> = {
  '192.0.2.0/24': ['192.0.2.128/25', '192.0.2.0/28'],
  '0.0.0.0/0': ['192.0.2.0/24', '10.0.0.0/8'],
};

const selector: fc.Arbitrary<ModelSelector> = fc.record({
  matchLabels: fc.dictionary(fc.constantFrom(...keys), fc.constantFrom(...values), { maxKeys: 2 }),
  notIn: fc.option(
    fc.record({
      key: fc.constantFrom(...keys),
      values: fc.uniqueArray(fc.constantFrom(...values), { minLength: 1, maxLength: 2 }),
    }),
    { nil: null, freq: 4 },
  ),
});

const peers: fc.Arbitrary<ModelPeers> = fc.oneof(
  { weight: 1, arbitrary: fc.constant<ModelPeers>({ kind: 'none' }) },
  {
    weight: 4,
    arbitrary: fc
      .array(selector, { maxLength: 3 })
      .map((selectors): ModelPeers => ({ kind: 'endpoints', selectors })),
  },
  {
    weight: 1,
    arbitrary: fc
      .uniqueArray(fc.constantFrom('all', 'world', 'cluster', 'host', 'remote-node'), {
        minLength: 1,
        maxLength: 2,
      })
      .map((names): ModelPeers => ({ kind: 'entities', names })),
  },
  {
    weight: 2,
    arbitrary: fc.constantFrom(...cidrs).chain((cidr) =>
      fc.option(fc.constantFrom(...(holes[cidr] ?? [cidr])), { nil: null }).map(
        (except): ModelPeers => ({
          kind: 'cidr',
          cidr,
          except: holes[cidr] === undefined ? null : except,
        }),
      ),
    ),
  },
);

const port = (l7: boolean): fc.Arbitrary<ModelPort> =>
  fc
    .tuple(
      fc.oneof(
        { weight: 5, arbitrary: fc.constantFrom<ModelPort['port']>(80, 81, 85, 8080) },
        { weight: 1, arbitrary: fc.constantFrom<ModelPort['port']>('web', 'metrics') },
        { weight: l7 ? 0 : 1, arbitrary: fc.constant<ModelPort['port']>(0) },
      ),
      fc.option(fc.constantFrom(2, 6, 15), { nil: null, freq: 3 }),
      fc.constantFrom<ModelPort['protocol']>(
        ...(l7 ? (['TCP'] as const) : (['TCP', 'TCP', 'UDP', 'ANY'] as const)),
      ),
    )
    .map(([number, width, protocol]) => ({
      port: number,
      end: typeof number === 'number' && number !== 0 && width !== null ? number + width : null,
      protocol,
    }));

const http: fc.Arbitrary<ModelHttp> = fc.record({
  method: fc.option(fc.constantFrom('GET', 'POST'), { nil: null }),
  path: fc.option(fc.constantFrom('/a', '/b', '/c'), { nil: null }),
});

const item = (deny: boolean): fc.Arbitrary<ModelItem> =>
  fc.boolean().chain((l7) =>
    fc.record({
      direction: fc.constantFrom('ingress', 'egress'),
      deny: fc.constant(deny),
      peers,
      ports: fc.array(port(l7 && !deny), { minLength: l7 && !deny ? 1 : 0, maxLength: 3 }),
      http: l7 && !deny ? fc.array(http, { minLength: 1, maxLength: 3 }) : fc.constant([]),
    }),
  );

/** A policy; its name is one of a few, so that sequences replace policies. */
export const policy: fc.Arbitrary<ModelPolicy> = fc.record({
  name: fc.constantFrom('p1', 'p2', 'p3', 'p4', 'p5'),
  namespace: fc.option(fc.constantFrom(...namespaces), { nil: null, freq: 3 }),
  subject: selector,
  enableDefaultDeny: fc.oneof(
    { weight: 3, arbitrary: fc.constant({}) },
    {
      weight: 1,
      arbitrary: fc.record({ ingress: fc.boolean(), egress: fc.boolean() }, { requiredKeys: [] }),
    },
  ),
  items: fc.array(fc.oneof({ weight: 3, arbitrary: item(false) }, { weight: 1, arbitrary: item(true) }), {
    minLength: 1,
    maxLength: 4,
  }),
});

/** A policy that only adds: allows, or denies, and leaves default deny as it is. */
export const addition = (deny: boolean): fc.Arbitrary<ModelPolicy> =>
  fc.record({
    name: fc.constant('addition'),
    namespace: fc.option(fc.constantFrom(...namespaces), { nil: null }),
    subject: selector,
    enableDefaultDeny: fc.constant({ ingress: false, egress: false }),
    items: fc.array(item(deny), { minLength: 1, maxLength: 3 }),
  });

export const endpoint: fc.Arbitrary<ModelEndpoint> = fc
  .record({
    at: fc.integer({ min: 1, max: 5 }),
    namespace: fc.constantFrom(...namespaces),
    labels: fc.dictionary(fc.constantFrom(...keys), fc.constantFrom(...values), { maxKeys: 2 }),
    ports: fc.dictionary(fc.constantFrom('web', 'metrics'), fc.constantFrom(80, 85, 8080), { maxKeys: 2 }),
  })
  .map(({ at, ...rest }) => ({ id: `e${at}`, address: `10.0.0.${at}`, ...rest }));

// ---- documents

/** The policy as a document. JSON is YAML. */
export function documentText(value: ModelPolicy): string {
  const sections: Record<string, unknown[]> = {};
  for (const entry of value.items) {
    const name = `${entry.direction}${entry.deny ? 'Deny' : ''}`;
    sections[name] = [...(sections[name] ?? []), itemObject(entry)];
  }
  return JSON.stringify(
    {
      apiVersion: 'cilium.io/v2',
      kind: value.namespace === null ? 'CiliumClusterwideNetworkPolicy' : 'CiliumNetworkPolicy',
      metadata: { name: value.name, ...(value.namespace === null ? {} : { namespace: value.namespace }) },
      spec: {
        endpointSelector: selectorObject(value.subject),
        enableDefaultDeny: value.enableDefaultDeny,
        ...sections,
      },
    },
    null,
    2,
  );
}

function selectorObject({ matchLabels, notIn }: ModelSelector): unknown {
  return {
    matchLabels,
    ...(notIn === null
      ? {}
      : { matchExpressions: [{ key: notIn.key, operator: 'NotIn', values: notIn.values }] }),
  };
}

function itemObject(entry: ModelItem): unknown {
  const side = entry.direction === 'ingress' ? 'from' : 'to';
  const ports = entry.ports.map(({ port: number, end, protocol }) => ({
    port: String(number),
    ...(end === null ? {} : { endPort: end }),
    protocol,
  }));
  return {
    ...peersObject(side, entry.peers),
    ...(ports.length === 0
      ? {}
      : {
          toPorts: [
            {
              ports,
              ...(entry.http.length === 0
                ? {}
                : {
                    rules: {
                      http: entry.http.map((rule) =>
                        Object.fromEntries(Object.entries(rule).filter(([, text]) => text !== null)),
                      ),
                    },
                  }),
            },
          ],
        }),
  };
}

function peersObject(side: 'from' | 'to', value: ModelPeers): object {
  switch (value.kind) {
    case 'none':
      return {};
    case 'endpoints':
      return { [`${side}Endpoints`]: value.selectors.map(selectorObject) };
    case 'entities':
      return { [`${side}Entities`]: value.names };
    case 'cidr':
      return {
        [`${side}CIDRSet`]: [
          { cidr: value.cidr, ...(value.except === null ? {} : { except: [value.except] }) },
        ],
      };
  }
}

// ---- meaning

export type ModelPeer =
  /** Twins have the same identity, the endpoint itself among them: their named ports are known together. */
  | { readonly kind: 'endpoint'; readonly endpoint: ModelEndpoint; readonly twins: readonly ModelEndpoint[] }
  | { readonly kind: 'address'; readonly address: string }
  | { readonly kind: 'reserved'; readonly name: 'host' | 'remote-node' };

export interface ModelProbe {
  readonly peer: ModelPeer;
  /** `other` stands for every protocol that has no ports a rule could name. */
  readonly protocol: 'TCP' | 'UDP' | 'SCTP' | 'ICMP' | 'other';
  readonly port: number;
  readonly http: { readonly method: string; readonly path: string } | null;
}

/** What one side says: 'l7' stands for a redirect whose requests `http` judges. */
export function modelVerdict(
  policies: readonly ModelPolicy[],
  subject: ModelEndpoint,
  direction: 'ingress' | 'egress',
  probe: ModelProbe,
): 'allowed' | 'denied' | 'redirected' {
  const bound = policies.filter(
    (value) =>
      (value.namespace === null || value.namespace === subject.namespace) && selects(value.subject, subject),
  );
  const withSection = bound.filter((value) => value.items.some((entry) => entry.direction === direction));
  const defaultDeny = withSection.some((value) => value.enableDefaultDeny[direction] !== false);
  const said = withSection.flatMap((value) =>
    value.items
      .filter((entry) => entry.direction === direction)
      .filter((entry) => takesPeer(entry, value.namespace, probe.peer) && takesPort(entry, subject, probe)),
  );
  if (said.some((entry) => entry.deny)) return 'denied';
  if (!defaultDeny) return 'allowed';
  const local = direction === 'ingress' && probe.peer.kind === 'reserved' && probe.peer.name === 'host';
  if (local || said.some((entry) => entry.http.length === 0)) return 'allowed';
  if (said.length === 0) return 'denied';
  const { http: request } = probe;
  if (request === null) return 'redirected';
  return said.some((entry) => entry.http.some((rule) => takesRequest(rule, request))) ? 'allowed' : 'denied';
}

function takesRequest(rule: ModelHttp, request: { readonly method: string; readonly path: string }): boolean {
  return (
    (rule.method === null || rule.method === request.method) &&
    (rule.path === null || rule.path === request.path)
  );
}

function selects({ matchLabels, notIn }: ModelSelector, { labels }: ModelEndpoint): boolean {
  return (
    Object.entries(matchLabels).every(([key, value]) => labels[key] === value) &&
    (notIn === null || !notIn.values.includes(labels[notIn.key] ?? ''))
  );
}

function takesPeer(entry: ModelItem, namespace: string | null, peer: ModelPeer): boolean {
  switch (entry.peers.kind) {
    case 'none':
      return entry.ports.length > 0;
    case 'endpoints':
      return (
        peer.kind === 'endpoint' &&
        (namespace === null || peer.endpoint.namespace === namespace) &&
        entry.peers.selectors.some((value) => selects(value, peer.endpoint))
      );
    case 'entities':
      return entry.peers.names.some((name) => {
        if (name === 'all') return true;
        if (name === 'world') return peer.kind === 'address';
        if (name === 'cluster') return peer.kind !== 'address';
        return peer.kind === 'reserved' && peer.name === name;
      });
    case 'cidr':
      return (
        peer.kind === 'address' &&
        inCidr(entry.peers.cidr, peer.address) &&
        (entry.peers.except === null || !inCidr(entry.peers.except, peer.address))
      );
  }
}

/** Good for the few CIDRs and addresses of this file. */
function inCidr(cidr: string, address: string): boolean {
  const [network = '', length = ''] = cidr.split('/');
  if (network.includes(':') !== address.includes(':')) return false;
  if (network.includes(':')) return length === '0' || address.startsWith('2001:db8:');
  const bits = (text: string) => text.split('.').reduce((sum, part) => sum * 256 + Number(part), 0);
  const size = 2 ** (32 - Number(length));
  return Math.floor(bits(network) / size) === Math.floor(bits(address) / size);
}

function takesPort(entry: ModelItem, subject: ModelEndpoint, probe: ModelProbe): boolean {
  if (entry.ports.length === 0) return true;
  if (probe.protocol === 'ICMP' || probe.protocol === 'other') return false;
  return entry.ports.some(({ port: wanted, end, protocol }) => {
    if (protocol !== 'ANY' && protocol !== probe.protocol) return false;
    if (typeof wanted === 'number') {
      return wanted === 0 || (probe.port >= wanted && probe.port <= (end ?? wanted));
    }
    if (probe.protocol !== 'TCP') return false;
    if (entry.direction === 'ingress') return subject.ports[wanted] === probe.port;
    return (
      probe.peer.kind === 'endpoint' && probe.peer.twins.some((twin) => twin.ports[wanted] === probe.port)
    );
  });
}
