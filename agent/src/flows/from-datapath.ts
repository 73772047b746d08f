import type { DatapathEvent } from '@weir/bpf';
import { identity } from '@weir/l7-policy';
import type { Directory } from './directory.ts';
import type { Flow } from './flow.ts';
import { protocolName } from './protocol-name.ts';

/** The flow that a datapath event tells of. `now` is the wall clock when it was read. */
export function flowFromDatapath(
  event: DatapathEvent,
  directory: Pick<Directory, 'peer'>,
  now: Date,
): Omit<Flow, 'sequence'> {
  const { source, destination } = event;
  return {
    time: now.toISOString(),
    kind: 'connection',
    verdict: event.kind === 'drop' ? 'denied' : event.kind === 'redirect' ? 'redirected' : 'allowed',
    reason: event.kind === 'drop' ? event.reason : null,
    protocol: protocolName(event.protocol),
    source: directory.peer(source.address, source.port, identity(source.identity)),
    destination: directory.peer(destination.address, destination.port, identity(destination.identity)),
    request: null,
    kafka: null,
    rules: [],
    untold: event.kind === 'drop' ? event.untold : 0,
  };
}
