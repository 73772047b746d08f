import type { EngineOptions, IdentityAllocator } from '@weir/l7-policy';
import { CLUSTER_NAME } from '../options.ts';

/**
 * What every engine of Weir is told, with an agent and without one: the same files mean the same. `kafkaFilter` is the
 * digest of the filter that serves Kafka rules, '' where nothing is served.
 */
export function engineOptions(allocator: IdentityAllocator, kafkaFilter: string): EngineOptions {
  return {
    enforcement: 'default',
    clusterName: CLUSTER_NAME,
    nodeSelectorLabels: false,
    kafkaFilter,
    allowLocalhost: 'always',
    identityLabels: null,
    allocator,
  };
}
