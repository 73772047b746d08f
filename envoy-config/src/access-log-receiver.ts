import type { RequestRecord } from './access-record.ts';

/** What the receiver needs from outside. */
export interface AccessLogReceiverOptions {
  /** Unix socket to listen on; a stale one of an agent that is gone is taken over. */
  readonly socketPath: string;
  /** Gets records in batches as Envoy sends them. Must not throw and should be quick. */
  readonly onRecords: (records: readonly RequestRecord[]) => void;
  /** Told what went wrong on a stream; reception goes on. */
  readonly onProblem: (message: string) => void;
}

/** Receives Envoy's access log (envoy.service.accesslog.v3.AccessLogService). */
export interface AccessLogReceiver {
  /** Records received since the start. */
  readonly received: number;
  /** Messages that could not be decoded. */
  readonly undecoded: number;
  /** Ends all streams and removes the socket. Envoy drops and counts what it cannot send. */
  close(): Promise<void>;
}

/** Starts listening; resolves when Envoy can connect. */
export async function createAccessLogReceiver(
  _options: AccessLogReceiverOptions,
): Promise<AccessLogReceiver> {
  throw new Error('not built yet');
}
