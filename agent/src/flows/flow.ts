/** One end of a flow, with what is known of it. */
export interface FlowPeer {
  readonly address: string;
  /** 0 where the protocol has no ports. */
  readonly port: number;
  readonly identity: number;
  /** Name of the workload, when it is one of this node. */
  readonly endpoint: string | null;
  /** Security-relevant labels, sorted; empty when the identity is unknown. */
  readonly labels: readonly string[];
}

/** What happened to a connection or a request. */
export type FlowVerdict = 'allowed' | 'redirected' | 'denied' | 'failed';

/** Rules that took part in a verdict. */
export interface FlowRule {
  /** The rule that allowed; null where a request was refused because it matched none of those at `places`. */
  readonly rule: string | null;
  /** `file:line`. */
  readonly places: readonly string[];
}

/** A request inside a proxied connection. */
export interface FlowRequest {
  readonly method: string;
  readonly path: string;
  readonly host: string;
  readonly protocol: string;
  /** 0 when no response was sent. */
  readonly status: number;
  readonly durationMs: number;
  readonly requestBytes: number;
  readonly responseBytes: number;
  /** Headers that rules name, as the client sent them; secrets and credentials are masked. */
  readonly headers: Readonly<Record<string, string>>;
}

/** A Kafka request inside a proxied connection. */
export interface FlowKafkaRequest {
  /** Name of the API, or its number as text. */
  readonly api: string;
  readonly apiVersion: number;
  readonly correlationId: number;
  /** Chosen by the client. */
  readonly clientId: string;
  /** The first of them; '' where the topic came by an id that the proxy does not know. */
  readonly topics: readonly { readonly name: string; readonly refused: boolean }[];
  readonly topicCount: number;
}

/** A verdict on a new connection, a dropped packet, or a request, as `weir monitor` shows it. */
export interface Flow {
  /** Counts from 1 since the agent's start. */
  readonly sequence: number;
  /** ISO 8601, UTC. */
  readonly time: string;
  readonly kind: 'connection' | 'request';
  readonly verdict: FlowVerdict;
  /** Name of the drop reason or of the proxy's refusal; null when nothing was refused. */
  readonly reason: string | null;
  /** `TCP`, `UDP`, `ICMP`, …, or the number. */
  readonly protocol: string;
  readonly source: FlowPeer;
  readonly destination: FlowPeer;
  readonly request: FlowRequest | null;
  readonly kafka: FlowKafkaRequest | null;
  readonly rules: readonly FlowRule[];
  /** Drops like this one that were not told since the last one that was: a flood is told in samples. */
  readonly untold: number;
}
