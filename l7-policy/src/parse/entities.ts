import type { LabelRequirement, Peer } from '../model/policy.ts';

/** Each reserved label that an entity stands for; several are alternatives. */
const reservedByEntity: Readonly<Record<string, readonly string[]>> = {
  host: ['host'],
  'remote-node': ['remote-node'],
  'kube-apiserver': ['kube-apiserver'],
  ingress: ['ingress'],
  health: ['health'],
  init: ['init'],
  unmanaged: ['unmanaged'],
  world: ['world', 'world-ipv4', 'world-ipv6'],
  'world-ipv4': ['world-ipv4'],
  'world-ipv6': ['world-ipv6'],
  none: [],
};

/** By this a pod is of a cluster; one without it is of the own. */
const clusterLabel = { source: 'k8s', key: 'io.cilium.k8s.policy.cluster' };

const notWorld = ['world', 'world-ipv4', 'world-ipv6'].map(
  (key): LabelRequirement => ({ kind: 'absent', source: 'reserved', key }),
);

/** What the cluster consists of beside its pods. */
const clusterMembers = ['host', 'remote-node', 'init', 'ingress', 'health', 'unmanaged', 'kube-apiserver'];

export const entityNames: readonly string[] = Object.freeze([
  'all',
  'cluster',
  'cluster-mesh',
  ...Object.keys(reservedByEntity),
]);

/** The peers an entity stands for; null for a name that is none. */
export function entityPeers(name: string, clusterName: string): readonly Peer[] | null {
  if (name === 'all') return [{ kind: 'any' }];
  if (name === 'cluster' || name === 'cluster-mesh') {
    const own = { kind: 'in', ...clusterLabel, values: [clusterName] } as const;
    const pods =
      name === 'cluster' ? [[own], [{ kind: 'absent', ...clusterLabel } as const, ...notWorld]] : [notWorld];
    return [
      ...clusterMembers.map(reservedPeer),
      ...pods.map((requirements) => ({ kind: 'labels', selector: { requirements } }) as const),
    ];
  }
  if (!Object.hasOwn(reservedByEntity, name)) return null;
  return (reservedByEntity[name] ?? []).map(reservedPeer);
}

/** Everything that carries a reserved label. */
export function reservedPeer(name: string): Peer {
  return {
    kind: 'labels',
    selector: { requirements: [{ kind: 'exists', source: 'reserved', key: name }] },
  };
}
