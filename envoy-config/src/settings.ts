import type { KafkaFilter } from './kafka/kafka-filter.ts';

/** A TCP port of the proxy on loopback, 1..65535, host order. */
export type ProxyPort = number & { readonly __brand: 'ProxyPort' };

/** A socket mark (SO_MARK), 1..2^32-1. */
export type SocketMark = number & { readonly __brand: 'SocketMark' };

/**
 * Makes a {@link ProxyPort}.
 * @throws RangeError when it is no port.
 */
export function proxyPort(port: number): ProxyPort {
  if (!Number.isInteger(port) || port < 1 || port > 65535) throw new RangeError(`no TCP port: ${port}`);
  return port as ProxyPort;
}

/**
 * Makes a {@link SocketMark}.
 * @throws RangeError when it is zero (no mark) or does not fit 32 bits.
 */
export function socketMark(mark: number): SocketMark {
  if (!Number.isInteger(mark) || mark < 1 || mark > 0xffff_ffff)
    throw new RangeError(`no socket mark: ${mark}`);
  return mark as SocketMark;
}

/** What every listener and cluster of one instance shares. */
export interface ProxySettings {
  /** Put on listening and on upstream sockets; the kernel programs know the proxy by it. */
  readonly proxyMark: SocketMark;
  /** Listen on ::1 as well; false where the network namespace speaks no IPv6. */
  readonly ipv6: boolean;
  /** Send the access log to the receiver that the bootstrap names. */
  readonly accessLog: boolean;
  /** The filter of Kafka classes; null: they are refused. */
  readonly kafkaFilter: KafkaFilter | null;
  /** Caps that keep one workload from using up the proxy. */
  readonly limits: ProxyLimits;
}

/** Caps of a listener; see docs/security.md for what each stands against. */
export interface ProxyLimits {
  /** Bytes that Envoy buffers per connection and direction before it stops reading. */
  readonly connectionBufferBytes: number;
  /** Request headers in all, KiB (Envoy's own default is 60). */
  readonly requestHeadersKiB: number;
  /** Number of request headers. */
  readonly requestHeadersCount: number;
  /** Number of response headers. */
  readonly responseHeadersCount: number;
  /** How long the headers of a request may take, from its first byte. */
  readonly requestHeadersTimeoutMs: number;
  /** Concurrent streams on one HTTP/2 connection. */
  readonly http2ConcurrentStreams: number;
  /** Bytes that one HTTP/2 stream, and all streams of a connection, may have under way. */
  readonly http2StreamWindowBytes: number;
  readonly http2ConnectionWindowBytes: number;
  /** Connect to the server at most this long. */
  readonly connectTimeoutMs: number;
  /**
   * An upstream connection that carries nothing is closed after this time. It is never used for another
   * downstream connection, so this also bounds how long it outlives its own.
   */
  readonly upstreamIdleTimeoutMs: number;
  /** Connections, requests and pending requests that the cluster may hold at once. */
  readonly clusterConcurrency: number;
}

/** Defaults for {@link ProxyLimits}. */
export const defaultLimits: ProxyLimits = Object.freeze({
  connectionBufferBytes: 256 * 1024,
  requestHeadersKiB: 96,
  requestHeadersCount: 200,
  responseHeadersCount: 500,
  requestHeadersTimeoutMs: 10_000,
  http2ConcurrentStreams: 1024,
  http2StreamWindowBytes: 256 * 1024,
  http2ConnectionWindowBytes: 8 * 1024 * 1024,
  connectTimeoutMs: 5_000,
  upstreamIdleTimeoutMs: 5_000,
  clusterConcurrency: 1_000_000,
});
