/** Everything a bootstrap says. */
export interface BootstrapOptions {
  readonly nodeId: string;
  readonly nodeCluster: string;
  /** Unix socket for the admin interface; Envoy makes it. */
  readonly adminSocketPath: string;
  /** Unix socket of the ADS server. */
  readonly xdsSocketPath: string;
  /** Unix socket of the access log receiver; null leaves it out. */
  readonly accessLogSocketPath: string | null;
  /** Heap at which Envoy stops accepting; null for no limit. */
  readonly maxHeapBytes: number | null;
  /** Downstream connections in all. */
  readonly maxConnections: number;
}

/** The bootstrap of an Envoy that gets everything else over ADS, as JSON text that Envoy reads. */
export function envoyBootstrap(_options: BootstrapOptions): string {
  throw new Error('not built yet');
}
