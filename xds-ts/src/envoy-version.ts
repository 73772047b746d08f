import envoy from '../envoy.json' with { type: 'json' };

/** The Envoy release whose API the types describe, such as `1.40.0`; a test holds it to the pinned binary. */
export const envoyVersion: string = envoy.version;
