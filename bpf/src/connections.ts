import type { Connection } from './datapath-maps.ts';
import { kernelMap } from './kernel-map.ts';
import { codes, layouts } from './layouts.ts';
import type { FdHandle } from './native.ts';
import { generation, identityNumber, proxyPort, setNumber, subjectNumber } from './numbers.ts';

const tcp = 6;
/** As in lib/flow.h. */
const idleUnrepliedNs = 60_000_000_000n;
const idleRepliedNs = 180_000_000_000n;

/**
 * Reads the connection table; entries come as from whoever opened the connection. Those that are over (closed by both
 * ends, reset, cut, or idle too long for their protocol) stay in the table until it needs their place, and are left out.
 */
export function* readConnections(conntrack: FdHandle): IterableIterator<Connection> {
  const nowNs = process.hrtime.bigint();
  for (const [key, flow] of kernelMap(conntrack, 'conntrack', layouts.flowKey, layouts.flow).entries()) {
    if (isOver(key.protocol, flow, nowNs)) continue;
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
      ipcacheEpoch: flow.ipcache_epoch,
      lastSeenNs: flow.last_seen_ns,
    };
  }
}

function isOver(protocol: number, flow: { flags: number; last_seen_ns: bigint }, nowNs: bigint): boolean {
  const { cut, shared, ...flags } = codes.flow;
  const own = flags.sourceFinished | flags.destinationFinished;
  const others = flags.otherSourceFinished | flags.otherDestinationFinished;
  const all = (flow.flags & shared) === 0 ? own : own | others;
  if ((flow.flags & cut) !== 0 || (flow.flags & all) === all) return true;
  if (protocol === tcp) return false;
  return (
    nowNs - flow.last_seen_ns > ((flow.flags & codes.flow.replied) === 0 ? idleUnrepliedNs : idleRepliedNs)
  );
}

function judged(end: { identity: number; subject: number; generation: number; set: number }) {
  return {
    identity: identityNumber(end.identity),
    subject: subjectNumber(end.subject),
    generation: generation(end.generation),
    set: setNumber(end.set),
  };
}
