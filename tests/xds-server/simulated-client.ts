// An xDS client without a network: what it gets it keeps in an inbox until the test lets it answer.
import { create, fromBinary, type MessageInitShape, toBinary } from '@bufbuild/protobuf';
import { type EndStatus, type Session, statusCode, type Variant, type XdsServer } from '@weir/xds-server';
import {
  DeltaDiscoveryRequestSchema,
  DeltaDiscoveryResponseSchema,
  DiscoveryRequestSchema,
  DiscoveryResponseSchema,
  ResourceSchema,
} from '@weir/xds-ts/envoy/service/discovery/v3/discovery';

/** One response as a client reads it. */
export interface Response {
  readonly typeUrl: string;
  readonly nonce: string;
  /** State-of-the-world's `version_info`. */
  readonly version: string;
  readonly resources: readonly ReceivedResource[];
  readonly removed: readonly string[];
  readonly bytes: number;
}

export interface ReceivedResource {
  /** State-of-the-world names it inside the message only: the first bytes up to a colon, in these tests. */
  readonly name: string;
  /** Delta only. */
  readonly version: string;
  readonly value: string;
  readonly ttlSeconds: number | null;
  /** A TTL is renewed and nothing else. */
  readonly heartbeat: boolean;
}

export interface SimulatedClient {
  readonly inbox: Response[];
  readonly ended: () => EndStatus | null;
  readonly delta: (request: MessageInitShape<typeof DeltaDiscoveryRequestSchema>) => void;
  readonly sotw: (request: MessageInitShape<typeof DiscoveryRequestSchema>) => void;
  readonly raw: (bytes: Uint8Array) => void;
  readonly close: () => void;
}

export interface ClientOptions {
  readonly variant: Variant;
  readonly typeUrl?: string | null;
  readonly onResponse?: (response: Response) => void;
}

export function simulatedClient(server: XdsServer, options: ClientOptions): SimulatedClient {
  const { variant, typeUrl = null, onResponse } = options;
  const inbox: Response[] = [];
  let ended: EndStatus | null = null;
  const session: Session = server.open({
    variant,
    typeUrl,
    peer: { address: 'test', certificate: null, metadata: new Map() },
    send: (parts) => {
      const bytes = Buffer.concat(parts);
      const response = variant === 'delta' ? readDelta(bytes) : readSotw(bytes);
      inbox.push(response);
      onResponse?.(response);
    },
    end: (status) => {
      ended = status;
    },
  });
  return {
    inbox,
    ended: () => ended,
    delta: (request) =>
      session.receive(toBinary(DeltaDiscoveryRequestSchema, create(DeltaDiscoveryRequestSchema, request))),
    sotw: (request) =>
      session.receive(toBinary(DiscoveryRequestSchema, create(DiscoveryRequestSchema, request))),
    raw: (bytes) => session.receive(bytes),
    close: () => {
      ended = { code: statusCode.ok, details: 'closed by the test' };
      session.closed('closed by the test');
    },
  };
}

function readDelta(bytes: Uint8Array): Response {
  const { typeUrl, nonce, resources, removedResources } = fromBinary(DeltaDiscoveryResponseSchema, bytes);
  return {
    typeUrl,
    nonce,
    version: '',
    bytes: bytes.length,
    removed: removedResources,
    resources: resources.map(({ name, version, resource, ttl }) => ({
      name,
      version,
      value: textOf(resource?.value),
      ttlSeconds: ttl === undefined ? null : Number(ttl.seconds) + ttl.nanos / 1e9,
      heartbeat: resource === undefined,
    })),
  };
}

function readSotw(bytes: Uint8Array): Response {
  const { typeUrl, nonce, resources, versionInfo } = fromBinary(DiscoveryResponseSchema, bytes);
  return {
    typeUrl,
    nonce,
    version: versionInfo,
    bytes: bytes.length,
    removed: [],
    resources: resources.map((any) => {
      if (!any.typeUrl.endsWith('.Resource')) {
        const value = textOf(any.value);
        return { name: value.split(':')[0] ?? '', version: '', value, ttlSeconds: null, heartbeat: false };
      }
      const { name, version, resource, ttl } = fromBinary(ResourceSchema, any.value);
      const ttlSeconds = ttl === undefined ? null : Number(ttl.seconds) + ttl.nanos / 1e9;
      return { name, version, value: textOf(resource?.value), ttlSeconds, heartbeat: resource === undefined };
    }),
  };
}

function textOf(value: Uint8Array | undefined): string {
  return Buffer.from(value ?? []).toString();
}
