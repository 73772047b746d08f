// Worlds for the model of policies: documents and endpoints as facts of the engine, probes as flows.
import { type EngineChange, type Flow, type PeerRef, reservedIdentities } from '@weir/l7-policy';
import fc from 'fast-check';
import {
  documentText,
  endpoint,
  type ModelEndpoint,
  type ModelPeer,
  type ModelPolicy,
  type ModelProbe,
  outside,
  policy,
} from './policy-model.ts';

export const policies = fc.uniqueArray(policy, { maxLength: 5, selector: fileOf });
export const endpoints = fc.uniqueArray(endpoint, {
  minLength: 2,
  maxLength: 5,
  selector: (value) => value.id,
});

export function fileOf(value: ModelPolicy): string {
  return `${value.namespace ?? 'cluster'}-${value.name}.yaml`;
}

export function setFile(value: ModelPolicy): EngineChange {
  return { kind: 'set-file', file: fileOf(value), text: documentText(value) };
}

export function setEndpoint({ id, namespace, labels, address, ports }: ModelEndpoint): EngineChange {
  return {
    kind: 'set-endpoint',
    endpoint: {
      id,
      labels: [
        `k8s:io.kubernetes.pod.namespace=${namespace}`,
        'k8s:io.cilium.k8s.policy.cluster=default',
        ...Object.entries(labels).map(([key, value]) => `k8s:${key}=${value}`),
      ],
      addresses: [address],
      namedPorts: Object.entries(ports).map(([name, port]) => ({ name, port, protocol: 'TCP' })),
      local: true,
    },
  };
}

const requests: readonly ModelProbe['http'][] = [
  { method: 'GET', path: '/a' },
  { method: 'POST', path: '/a' },
  { method: 'GET', path: '/c' },
];

export function twinsOf(pod: ModelEndpoint, pods: readonly ModelEndpoint[]): readonly ModelEndpoint[] {
  const who = ({ namespace, labels }: ModelEndpoint) =>
    JSON.stringify([namespace, Object.entries(labels).sort()]);
  return pods.filter((other) => who(other) === who(pod));
}

export function* probesOf(pods: readonly ModelEndpoint[]): Iterable<ModelProbe> {
  const peers: ModelPeer[] = [
    ...pods.map((pod): ModelPeer => ({ kind: 'endpoint', endpoint: pod, twins: twinsOf(pod, pods) })),
    ...outside.map((address): ModelPeer => ({ kind: 'address', address })),
    { kind: 'reserved', name: 'host' },
    { kind: 'reserved', name: 'remote-node' },
  ];
  for (const peer of peers) {
    yield { peer, protocol: 'ICMP', port: 8, http: null };
    for (const port of [80, 9]) yield { peer, protocol: 'UDP', port, http: null };
    for (const port of [79, 80, 83, 8080]) yield { peer, protocol: 'TCP', port, http: null };
    for (const port of [80, 85]) for (const http of requests) yield { peer, protocol: 'TCP', port, http };
  }
}

export function flowOf(subject: ModelEndpoint, direction: 'ingress' | 'egress', probe: ModelProbe): Flow {
  const own: PeerRef = { kind: 'endpoint', id: subject.id };
  const peer: PeerRef =
    probe.peer.kind === 'endpoint'
      ? { kind: 'endpoint', id: probe.peer.endpoint.id }
      : probe.peer.kind === 'address'
        ? { kind: 'address', address: probe.peer.address }
        : { kind: 'identity', identity: reservedIdentities[probe.peer.name] };
  return {
    from: direction === 'egress' ? own : peer,
    to: direction === 'egress' ? peer : own,
    protocol: { TCP: 6, UDP: 17, SCTP: 132, ICMP: 1, other: 47 }[probe.protocol],
    port: probe.port,
    direction,
    request:
      probe.http === null
        ? null
        : { kind: 'http', method: probe.http.method, path: probe.http.path, host: 'h', headers: [] },
  };
}
