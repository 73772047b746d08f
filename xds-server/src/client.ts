declare const clientId: unique symbol;

/** The `node.id` of a client; a client that names none gets one of its stream's own. */
export type ClientId = string & { readonly [clientId]: true };

/** What a client said of itself in the first request of a stream. */
export interface ClientNode {
  readonly id: string;
  readonly cluster: string;
  readonly locality: { readonly region: string; readonly zone: string; readonly subZone: string };
  /** As JSON; an empty object when the client sent none. */
  readonly metadata: { readonly [key: string]: unknown };
  readonly userAgent: { readonly name: string; readonly version: string };
  /** Names of the extensions that are built in, such as `envoy.filters.http.router`, without disabled ones. */
  readonly extensions: ReadonlySet<string>;
  /** Type URLs of configuration those extensions take; empty when the client does not say. */
  readonly extensionTypeUrls: ReadonlySet<string>;
  readonly clientFeatures: ReadonlySet<string>;
}

/** One connected client: all streams that carry the same node id. */
export interface Client {
  readonly id: ClientId;
  readonly node: ClientNode;
  /** Where the newest stream came from, as address:port; `unix` for a unix socket. */
  readonly peer: string;
}

/** The other end of a stream. */
export interface Peer {
  readonly address: string;
  /** DER of the client's certificate, where the listener asked for one. */
  readonly certificate: Uint8Array | null;
  /** The request's headers, in lower case: where a client's bearer token stands, for example. */
  readonly metadata: ReadonlyMap<string, string>;
}

/** The id under which streams of a node are one client. */
export function clientIdOf(node: ClientNode, stream: number): ClientId {
  return (node.id === '' ? `stream ${stream}` : node.id) as ClientId;
}
