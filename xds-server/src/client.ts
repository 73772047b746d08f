import type { Node } from '@weir/xds-ts/envoy/config/core/v3/base';

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

/** The node of a request as a value of ours. */
export function clientNode(node: Node | undefined): ClientNode {
  const extensions = (node?.extensions ?? []).filter((extension) => !extension.disabled);
  return Object.freeze({
    id: node?.id ?? '',
    cluster: node?.cluster ?? '',
    locality: Object.freeze({
      region: node?.locality?.region ?? '',
      zone: node?.locality?.zone ?? '',
      subZone: node?.locality?.subZone ?? '',
    }),
    metadata: Object.freeze({ ...node?.metadata }),
    userAgent: Object.freeze({ name: node?.userAgentName ?? '', version: userAgentVersion(node) }),
    extensions: new Set(extensions.map((extension) => extension.name)),
    extensionTypeUrls: new Set(extensions.flatMap((extension) => extension.typeUrls)),
    clientFeatures: new Set(node?.clientFeatures ?? []),
  });
}

function userAgentVersion(node: Node | undefined): string {
  const version = node?.userAgentVersionType;
  if (version?.case === 'userAgentVersion') return version.value;
  const build = version?.case === 'userAgentBuildVersion' ? version.value.version : undefined;
  return build === undefined ? '' : `${build.majorNumber}.${build.minorNumber}.${build.patch}`;
}

/** The id under which streams of a node are one client. */
export function clientIdOf(node: ClientNode, stream: number): ClientId {
  return (node.id === '' ? `stream ${stream}` : node.id) as ClientId;
}
