import type { EnvoyResource } from '@weir/envoy-config';
import {
  encodedResource,
  type InForceRequest,
  type Refusal,
  type Resource,
  type XdsServer,
} from '@weir/xds-server';
import type { InForce, ProxyPublisher } from './proxy-classes.ts';

/** How long one wait for the proxy lasts before it is asked anew. */
const PATIENCE_MS = 30_000;

/** Publishes to every client of `server` and waits for all of them. */
export function createXdsPublisher(
  server: Pick<XdsServer, 'update' | 'targets' | 'inForce'>,
): ProxyPublisher {
  return {
    publish(set, remove) {
      server.update({
        set: set.map(xdsResource),
        remove: remove.map(({ typeUrl, name }) => ({ typeUrl, name })),
      });
    },
    async inForce(resources, signal) {
      const targets = server.targets(resources.map(({ typeUrl, name }) => ({ typeUrl, name })));
      return waitFor(server, { targets, deadlineMs: PATIENCE_MS, signal });
    },
  };
}

async function waitFor(server: Pick<XdsServer, 'inForce'>, request: InForceRequest): Promise<InForce> {
  const answer = await server.inForce(request);
  switch (answer.kind) {
    case 'in-force':
      return { kind: 'in-force' };
    case 'refused':
      return { kind: 'refused', problem: answer.refusals.map(showRefusal).join('; ') };
    case 'disconnected':
    case 'deadline':
    case 'aborted':
      return { kind: 'unknown' };
  }
}

/** A compiled resource as the server holds it. */
export function xdsResource({ typeUrl, name, bytes }: EnvoyResource): Resource {
  return encodedResource({ typeUrl, name, value: bytes });
}

function showRefusal({ ref, reason }: Refusal): string {
  const why =
    reason.kind === 'nack' ? reason.detail : `${reason.bytes} bytes are more than a response may hold`;
  return `Envoy refused ${ref.name}: ${why}`;
}
