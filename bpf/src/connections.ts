import type { Connection } from './datapath-maps.ts';
import { kernelMap } from './kernel-map.ts';
import { codes, layouts } from './layouts.ts';
import type { FdHandle } from './native.ts';
import { generation, identityNumber, proxyPort, setNumber, subjectNumber } from './numbers.ts';

/** Reads the connection table; entries come as from whoever opened the connection. */
export function* readConnections(conntrack: FdHandle): IterableIterator<Connection> {
  for (const [key, flow] of kernelMap(conntrack, 'conntrack', layouts.flowKey, layouts.flow).entries()) {
    const ends = [
      { address: key.low, port: key.low_port },
      { address: key.high, port: key.high_port },
    ] as const;
    const sourceIsLow = (flow.flags & codes.flow.sourceIsLow) !== 0;
    yield {
      protocol: key.protocol,
      source: { ...ends[sourceIsLow ? 0 : 1], ...judged(flow.source) },
      destination: { ...ends[sourceIsLow ? 1 : 0], ...judged(flow.destination) },
      proxyPort: flow.proxy_port === 0 ? undefined : proxyPort(flow.proxy_port),
      leg: (flow.flags & codes.flow.leg) !== 0,
      cut: (flow.flags & codes.flow.cut) !== 0,
      ipcacheEpoch: flow.ipcache_epoch,
      lastSeenNs: flow.last_seen_ns,
    };
  }
}

function judged(end: { identity: number; subject: number; generation: number; set: number }) {
  return {
    identity: identityNumber(end.identity),
    subject: subjectNumber(end.subject),
    generation: generation(end.generation),
    set: setNumber(end.set),
  };
}
