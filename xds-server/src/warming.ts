import { fromBinary } from '@bufbuild/protobuf';
import { Cluster_DiscoveryType, ClusterSchema } from '@weir/xds-ts/envoy/config/cluster/v3/cluster';
import { typeUrls } from './resource-types.ts';
import type { Stored } from './stored.ts';

/**
 * Which endpoints Envoy waits for after it was sent these clusters. A changed cluster warms until a
 * fresh answer with its endpoints comes, and over delta Envoy 1.40 does not ask for names that it
 * subscribes to already (tried): left alone, it waits out its fetch timeout of 15 seconds.
 */
export function endpointsToRepeat(clusters: readonly Stored[]): readonly string[] {
  return clusters.flatMap(({ resource }) => {
    if (resource.typeUrl !== typeUrls.cluster) return [];
    const name = endpointsOf(resource.value);
    return name === null ? [] : [name === '' ? resource.name : name];
  });
}

/** The EDS service name of a cluster, empty for the cluster's own name; null: no EDS, or no cluster at all. */
function endpointsOf(value: Uint8Array): string | null {
  try {
    const { clusterDiscoveryType: type, edsClusterConfig } = fromBinary(ClusterSchema, value);
    const eds = type.case === 'type' && type.value === Cluster_DiscoveryType.EDS;
    return eds ? (edsClusterConfig?.serviceName ?? '') : null;
  } catch {
    // The bytes are the caller's; the client will say what is wrong with them.
    return null;
  }
}
