/** The xDS types that this folder produces, by the short name used in logs. */
export const typeUrls = Object.freeze({
  cluster: 'type.googleapis.com/envoy.config.cluster.v3.Cluster',
  listener: 'type.googleapis.com/envoy.config.listener.v3.Listener',
  routes: 'type.googleapis.com/envoy.config.route.v3.RouteConfiguration',
  extension: 'type.googleapis.com/envoy.config.core.v3.TypedExtensionConfig',
});

/** Type URL of a resource that this folder produces. */
export type ResourceTypeUrl = (typeof typeUrls)[keyof typeof typeUrls];

/** One xDS resource, encoded. Equal content has equal bytes, so the bytes may serve as a version. */
export interface EnvoyResource {
  readonly typeUrl: ResourceTypeUrl;
  /** Unique within its type; also the name inside the message. */
  readonly name: string;
  /** The message of type `typeUrl`, without an Any around it. */
  readonly bytes: Uint8Array;
}

/** Why a class could not be turned into resources. What was in force must stay in force. */
export interface CompileProblem {
  /** For the person who must act: what, and what to do. */
  readonly message: string;
  /** The rules that take part, by id; the engine knows their places. Empty when it is none of them. */
  readonly rules: readonly string[];
}

/** Resources in the order in which they may be announced, or the reason why there are none. */
export type Compiled =
  | { readonly kind: 'compiled'; readonly resources: readonly EnvoyResource[] }
  | { readonly kind: 'refused'; readonly problem: CompileProblem };
