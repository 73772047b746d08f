import { reportQuarantine } from './answers.ts';
import type { Composed } from './compose.ts';
import type { ConnectedClient, Core } from './core.ts';
import type { Content } from './encoder.ts';
import { dueHeartbeats, scheduleHeartbeat } from './heartbeat.ts';
import type { Batch } from './ledger.ts';
import { versionOf } from './listing.ts';
import { waitsFor } from './order.ts';
import { typeUrls } from './resource-types.ts';
import { entryBytes } from './stored.ts';
import type { Transport } from './transport.ts';
import { progressOf, type TypeStream, unranked } from './type-stream.ts';
import type { View } from './view.ts';
import { endpointsToRepeat } from './warming.ts';

type Outgoing = Pick<Composed, 'batch' | 'stored' | 'removed' | 'version'>;

const noRenewals: Content['heartbeats'] = Object.freeze([]);

/** Sends what may go now on one stream: at most one unanswered response per type, types in order. */
export function createPusher(
  core: Core,
  transport: Transport,
  number: number,
  types: ReadonlyMap<string, TypeStream>,
  wake: () => void,
): (client: ConnectedClient, view: View) => void {
  const { clock, limits, counters } = core;
  let ordered: readonly TypeStream[] = [];

  /** Whether a type may go: nothing is before it in the order, or it has waited long enough. */
  function allowed(kind: 'sets' | 'removals', type: TypeStream, client: ConnectedClient): boolean {
    const alone = ordered.length === 1 || type.rank === unranked;
    const blocker = alone ? null : waitsFor(kind, type.typeUrl, ordered.map(progressOf));
    if (blocker === null) return true;
    const now = clock.nowMs();
    if (type.blockedSinceMs === null) {
      type.blockedSinceMs = now;
      clock.after(limits.orderingPatienceMs, wake);
    }
    if (now - type.blockedSinceMs < limits.orderingPatienceMs) return false;
    const { id } = client.client;
    core.emit({
      kind: 'order-given-up',
      stream: number,
      client: id,
      typeUrl: type.typeUrl,
      waitedFor: blocker,
    });
    return true;
  }

  function pushType(type: TypeStream, client: ConnectedClient): void {
    const { ledger } = type;
    while (!ledger.unanswered()) {
      const unsent = ledger.unsent();
      if (!unsent.sets && !unsent.removals) return;
      const sets = unsent.sets && allowed('sets', type, client);
      const removals = !unsent.sets && unsent.removals && allowed('removals', type, client);
      if (!sets && !removals && !unsent.urgent) return;
      const batch = ledger.take({ sets, removals });
      if (batch === null) {
        core.settled(client, type.typeUrl);
        return;
      }
      if (sets || removals) type.blockedSinceMs = null;
      send(type, batch, client);
    }
  }

  function send(type: TypeStream, batch: Batch, client: ConnectedClient): void {
    const composed = type.compose(batch, type.ledger);
    if (composed.rest.length > 0) type.ledger.putBack(batch, composed.rest);
    for (const { item, held } of composed.oversize) {
      const reason = { kind: 'oversize', bytes: entryBytes(item) } as const;
      reportQuarantine(core, type, number, client, type.ledger.quarantine(item.resource.name, held, reason));
      core.settled(client, type.typeUrl);
    }
    const empty = composed.stored.length === 0 && composed.removed.length === 0;
    if (empty && batch.kind !== 'empty' && !type.fullState) {
      core.settled(client, type.typeUrl);
      return;
    }
    write(type, composed, noRenewals, client);
  }

  /**
   * Renews what expires. State-of-the-world gets the content again: of an answer that holds renewals
   * only, Envoy 1.40 makes an empty list, and deletes what is not on it (tried).
   */
  function beat(type: TypeStream, client: ConnectedClient, view: View): void {
    if (!type.heartbeatDue || type.ledger.unanswered()) return;
    type.heartbeatDue = false;
    const due = dueHeartbeats(view, type);
    if (due.length === 0) return;
    const batch = { kind: 'empty' } as const;
    const nothing = { batch, stored: [], removed: [], version: '' };
    if (transport.variant === 'delta')
      write(
        type,
        nothing,
        due.map((item) => item.resource),
        client,
      );
    else if (type.fullState) write(type, type.compose(batch, type.ledger), noRenewals, client);
    else write(type, { ...nothing, stored: due, version: versionOf(due) }, noRenewals, client);
  }

  function write(
    type: TypeStream,
    outgoing: Outgoing,
    heartbeats: Content['heartbeats'],
    client: ConnectedClient,
  ): void {
    const { typeUrl } = type;
    const { batch, stored, removed, version } = outgoing;
    const { ttl } = type;
    const content = { variant: transport.variant, typeUrl, stored, removed, heartbeats, ttl, version };
    const { parts, bytes, nonce, serial } = core.encoder.encode(content, type.nonceSerial);
    type.ledger.sent(batch);
    type.nonce = nonce;
    type.nonceSerial = serial;
    type.sentAtMs = clock.nowMs();
    type.content = { stored, removed };
    counters.pushes += 1;
    counters.pushedBytes += bytes;
    counters.unanswered += 1;
    transport.send(parts);
    if (ttl) scheduleHeartbeat(core, type, { stored, heartbeats }, wake);
    if (transport.variant === 'delta' && typeUrl === typeUrls.cluster && types.size > 1)
      types.get(typeUrls.endpoint)?.ledger.askAgain(endpointsToRepeat(stored));
    if (!core.observed()) return;
    core.emit({
      kind: 'pushed',
      stream: number,
      client: client.client.id,
      typeUrl,
      nonce,
      resources: stored.length,
      removed: removed.length,
      bytes,
    });
  }

  return (client, view) => {
    ordered = ordered.length === types.size ? ordered : [...types.values()].sort((a, b) => a.rank - b.rank);
    for (const type of ordered) {
      pushType(type, client);
      beat(type, client, view);
    }
  };
}
