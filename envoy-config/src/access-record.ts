import type { RouteDenial } from './http/route-name.ts';

/** An address and port as Envoy reports it, host order. */
export interface Peer {
  readonly address: string;
  readonly port: number;
}

/** What decided about a request. */
export type RequestVerdict =
  /**
   * Rules allowed it; what happened then stands in `status` and `details`. A rule is null where its side has
   * none. Where a combined regex hides it the name of its group stands here (`ClassCompiler.ruleOf`).
   */
  | { readonly kind: 'allowed'; readonly egressRule: string | null; readonly ingressRule: string | null }
  | { readonly kind: 'denied'; readonly reason: RequestDenial }
  /** Envoy answered by itself before the rules were asked (malformed request, overload, …). */
  | { readonly kind: 'failed' };

/**
 * Why a request was refused: by which side's rules, because its path or host may mean another one to the
 * server, because it asks for a tunnel (CONNECT, an upgrade other than WebSocket), or because it names no path.
 */
export type RequestDenial = RouteDenial | 'upgrade' | 'unroutable';

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
  /** With the query, as the rules saw it (dot segments and unusual characters normalised). */
  readonly path: string;
  readonly host: string;
  /** 0 when no response was sent. */
  readonly status: number;
  readonly verdict: RequestVerdict;
  /** Headers (lower case) that did not have the value that a headerMatches of an allowing rule wanted. */
  readonly mismatches: readonly string[];
  /**
   * The headers that rules of the class name, as the client sent them, in lower case. Secrets and credentials are
   * masked; a value of 8 KiB or more, or an empty one, is not there.
   */
  readonly headers: Readonly<Record<string, string>>;
  /** Envoy's words for how the response came about, such as `via_upstream`. */
  readonly details: string;
  /** Envoy's short response flags, such as `UF`. */
  readonly flags: readonly string[];
  readonly requestBytes: number;
  readonly responseBytes: number;
}
