/** An address and port as Envoy reports it, host order. */
export interface Peer {
  readonly address: string;
  readonly port: number;
}

/** What decided about a request. */
export type RequestVerdict =
  | { readonly kind: 'allowed'; readonly egressRule: string | null; readonly ingressRule: string | null }
  | { readonly kind: 'denied'; readonly reason: RequestDenial }
  /** Envoy answered by itself before or after the verdict (malformed request, no server, overload, …). */
  | { readonly kind: 'failed' };

/** Why a request was refused: by which side's rules, or because its path would leave what a rule names. */
export type RequestDenial = 'egress-rules' | 'ingress-rules' | 'path-traversal' | 'upgrade' | 'unroutable';

/** One HTTP request that went through the proxy, as its access log says. */
export interface RequestRecord {
  readonly kind: 'request';
  /** Class id, equal to the listener's name. */
  readonly classId: string;
  readonly source: Peer;
  readonly destination: Peer;
  /** Start of the request, milliseconds since the epoch. */
  readonly startedAtMs: number;
  readonly durationMs: number;
  readonly protocol: 'HTTP/1.0' | 'HTTP/1.1' | 'HTTP/2' | 'HTTP/3' | 'unknown';
  readonly method: string;
  /** With the query, as received (before normalisation). */
  readonly path: string;
  readonly host: string;
  /** 0 when no response was sent. */
  readonly status: number;
  /** grpc-status of the response, when it has one. */
  readonly grpcStatus: number | null;
  readonly verdict: RequestVerdict;
  /** Envoy's words for how the response came about, such as `via_upstream`. */
  readonly details: string;
  /** Envoy's short response flags, such as `UF`. */
  readonly flags: readonly string[];
  readonly requestBytes: number;
  readonly responseBytes: number;
  /** Request headers that rules of the class name, lower-case; values of secrets are masked. */
  readonly headers: Readonly<Record<string, string>>;
}
