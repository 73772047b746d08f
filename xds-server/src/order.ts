import { resourceType } from './resource-types.ts';

/** How far one type of a stream is. */
export interface Progress {
  readonly typeUrl: string;
  readonly unsentSets: boolean;
  readonly unsentRemovals: boolean;
  readonly unanswered: boolean;
}

/**
 * Which type another one has to wait for, or null (xds_protocol, "Eventual consistency
 * considerations"). What is new or changed goes by rank: clusters, endpoints, listeners, routes. It
 * waits until the ranks below have sent theirs, not until they are answered: Envoy answers clusters
 * only when they are warm, and they may never be. What is removed goes last and by falling rank, once
 * everything that might still use it is answered.
 */
export function waitsFor(
  kind: 'sets' | 'removals',
  typeUrl: string,
  all: readonly Progress[],
): string | null {
  const { rank } = resourceType(typeUrl);
  if (rank === null) return null;
  for (const other of all) {
    const { rank: otherRank } = resourceType(other.typeUrl);
    if (other.typeUrl === typeUrl || otherRank === null) continue;
    const blocks =
      kind === 'sets'
        ? otherRank < rank && other.unsentSets
        : other.unsentSets || other.unanswered || (otherRank > rank && other.unsentRemovals);
    if (blocks) return other.typeUrl;
  }
  return null;
}
