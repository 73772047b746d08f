import type { Peer } from '../model/policy.ts';

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

/** What the cluster consists of beside its pods. */
const clusterMembers = ['host', 'remote-node', 'init', 'ingress', 'health', 'unmanaged', 'kube-apiserver'];

export const entityNames: readonly string[] = Object.freeze([
  'all',
  'cluster',
  ...Object.keys(reservedByEntity),
]);

/** The peers an entity stands for; null for a name that is none. */
export function entityPeers(name: string, clusterName: string): readonly Peer[] | null {
  if (name === 'all') return [{ kind: 'any' }];
  if (name === 'cluster') {
    const own = {
      kind: 'in',
      source: 'k8s',
      key: 'io.cilium.k8s.policy.cluster',
      values: [clusterName],
    } as const;
    return [...clusterMembers.map(reservedPeer), { kind: 'labels', selector: { requirements: [own] } }];
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
