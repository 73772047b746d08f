import { askAdmin } from './envoy-admin.ts';

/** What Envoy has written to and dropped from its access log since it started. */
export interface AccessLogCounts {
  readonly written: number;
  readonly dropped: number;
}

/** Reads Envoy's own counters, because the access log service is lossy by design. Rejects when Envoy is away. */
export async function accessLogCounts(adminSocketPath: string): Promise<AccessLogCounts> {
  const { body } = await askAdmin(adminSocketPath, '/stats?filter=^access_logs\\.grpc_access_log\\.');
  return { written: counter(body, 'logs_written'), dropped: counter(body, 'logs_dropped') };
}

function counter(stats: string, name: string): number {
  return Number(new RegExp(`^access_logs\\.grpc_access_log\\.${name}: (\\d+)$`, 'm').exec(stats)?.[1] ?? 0);
}
