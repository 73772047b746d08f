import type { EndpointState, Engine, EngineDelta, Identity } from '@weir/l7-policy';
import type { FlowPeer } from './flow.ts';

/** Who is behind an address, as flows show it. */
export interface Directory {
  peer(address: string, port: number, identity: Identity): FlowPeer;
  /** For a source that knows addresses only (the proxy): the identity is looked up. */
  peerByAddress(address: string, port: number): FlowPeer;
  /** Takes over what an update of the engine changed. */
  update(delta: EngineDelta): void;
}

/** An empty directory that asks `engine` for labels; `world` is the identity of unknown addresses. */
export function createDirectory(engine: Pick<Engine, 'labelsOf' | 'state'>, world: Identity): Directory {
  const endpoints = new Map<string, EndpointState>();
  const byAddress = new Map<string, EndpointState>();

  function forget(id: string): void {
    for (const address of endpoints.get(id)?.addresses ?? []) {
      if (byAddress.get(address)?.id === id) byAddress.delete(address);
    }
    endpoints.delete(id);
  }

  function peer(address: string, port: number, identity: Identity): FlowPeer {
    const labels = engine.labelsOf(identity) ?? [];
    return { address, port, identity, endpoint: byAddress.get(address)?.id ?? null, labels };
  }

  return {
    peer,
    peerByAddress(address, port) {
      const length = address.includes(':') ? 128 : 32;
      const known = byAddress.get(address)?.identity ?? engine.state().ipcache.get(`${address}/${length}`);
      return peer(address, port, known ?? world);
    },
    update(delta) {
      for (const id of delta.endpoints.removed) forget(id);
      for (const endpoint of delta.endpoints.set) {
        forget(endpoint.id);
        endpoints.set(endpoint.id, endpoint);
        for (const address of endpoint.addresses) byAddress.set(address, endpoint);
      }
    },
  };
}
