import type { EndpointFact } from '@weir/l7-policy';
import type { Workload } from './workload.ts';

const NAMESPACE_LABEL = 'k8s:io.kubernetes.pod.namespace';
const CLUSTER_LABEL = 'k8s:io.cilium.k8s.policy.cluster';

/** What the policy engine is told of a workload: its labels with their sources, namespace and cluster among them. */
export function endpointFact(workload: Workload, clusterName: string): EndpointFact {
  const labels = Object.entries(workload.labels).map(([key, value]) =>
    key.includes(':') ? `${key}=${value}` : `k8s:${key}=${value}`,
  );
  return {
    id: workload.name,
    labels: [...labels, `${NAMESPACE_LABEL}=${workload.namespace}`, `${CLUSTER_LABEL}=${clusterName}`],
    addresses: workload.addresses,
    namedPorts: Object.entries(workload.namedPorts).map(([name, port]) => ({ name, ...port })),
    local: true,
  };
}
