import type { ClientStream, Core } from './core.ts';
import type { Content } from './encoder.ts';
import type { Stored } from './stored.ts';
import type { TypeStream } from './type-stream.ts';
import type { View } from './view.ts';

/** Renewals within one lifetime: two may be lost. */
const perTtl = 3;

type Sent = Pick<Content, 'stored' | 'heartbeats'>;

/** Arranges the next renewal after resources with a TTL were sent. `stream` gets a turn then. */
export function scheduleHeartbeat(
  core: Core,
  type: TypeStream,
  sent: Sent,
  stream: Pick<ClientStream, 'wake'>,
): void {
  if (type.cancelHeartbeat !== null) return;
  let shortestMs = Number.POSITIVE_INFINITY;
  for (const { resource } of sent.stored) shortestMs = Math.min(shortestMs, resource.ttlMs ?? shortestMs);
  for (const { ttlMs } of sent.heartbeats) shortestMs = Math.min(shortestMs, ttlMs ?? shortestMs);
  if (shortestMs === Number.POSITIVE_INFINITY) return;
  type.cancelHeartbeat = core.clock.after(shortestMs / perTtl, () => {
    type.cancelHeartbeat = null;
    type.heartbeatDue = true;
    stream.wake();
  });
}

/** The resources that a client has and that expire without a sign of life. */
export function dueHeartbeats(view: View, { typeUrl, ledger }: TypeStream): readonly Stored[] {
  const { wildcard, names } = ledger.subscription();
  const known = wildcard
    ? view.listing(typeUrl).stored
    : [...names].flatMap((name) => view.lookup(typeUrl, name) ?? []);
  return known.filter(
    ({ resource: { name, ttlMs } }) => ttlMs !== null && ledger.state(name).kind === 'in-force',
  );
}
