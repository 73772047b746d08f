import type { DatapathEvent } from '@weir/bpf';
import { identity } from '@weir/l7-policy';
import type { Directory } from './directory.ts';
import type { Flow } from './flow.ts';

const PROTOCOLS: Readonly<Record<number, string>> = {
  1: 'ICMP',
  6: 'TCP',
  17: 'UDP',
  58: 'ICMPv6',
  132: 'SCTP',
};

/** The flow that a datapath event tells of. `now` is the wall clock when it was read. */
export function flowFromDatapath(
  event: DatapathEvent,
  directory: Directory,
  now: Date,
): Omit<Flow, 'sequence'> {
  const { source, destination } = event;
  return {
    time: now.toISOString(),
    kind: 'connection',
    verdict: event.kind === 'drop' ? 'denied' : event.kind === 'redirect' ? 'redirected' : 'allowed',
    reason: event.kind === 'drop' ? event.reason : null,
    protocol: PROTOCOLS[event.protocol] ?? String(event.protocol),
    source: directory.peer(source.address, source.port, identity(source.identity)),
    destination: directory.peer(destination.address, destination.port, identity(destination.identity)),
    request: null,
    rules: [],
  };
}
