import { reportQuarantine } from './answers.ts';
import type { Composed } from './compose.ts';
import type { ClientStream, ConnectedClient, Core } from './core.ts';
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

/** A stream, as those see it who let it wait. */
type Waking = Pick<ClientStream, 'number' | 'wake'>;

const noRenewals: Content['heartbeats'] = Object.freeze([]);

/** Sends what may go now on one stream: at most one unanswered response per type, types in order. */
export class Pusher {
  private readonly core: Core;
  private readonly transport: Transport;
  private readonly stream: Waking;
  private readonly types: ReadonlyMap<string, TypeStream>;
  private ordered: readonly TypeStream[] = [];

  constructor(core: Core, transport: Transport, stream: Waking, types: ReadonlyMap<string, TypeStream>) {
    this.core = core;
    this.transport = transport;
    this.stream = stream;
    this.types = types;
  }

  push(client: ConnectedClient, view: View): void {
    const { types } = this;
    if (this.ordered.length !== types.size)
      this.ordered = [...types.values()].sort((a, b) => a.rank - b.rank);
    for (const type of this.ordered) {
      this.pushType(type, client);
      this.beat(type, client, view);
    }
  }

  /** Whether a type may go: nothing is before it in the order, or it has waited long enough. */
  private allowed(kind: 'sets' | 'removals', type: TypeStream, client: ConnectedClient): boolean {
    const alone = this.ordered.length === 1 || type.rank === unranked;
    const blocker = alone ? null : waitsFor(kind, type.typeUrl, this.ordered.map(progressOf));
    if (blocker === null) return true;
    const now = this.core.clock.nowMs();
    if (type.blockedSinceMs === null) {
      type.blockedSinceMs = now;
      this.core.clock.after(this.core.limits.orderingPatienceMs, () => this.stream.wake());
    }
    if (now - type.blockedSinceMs < this.core.limits.orderingPatienceMs) return false;
    const { id } = client.client;
    this.core.emit({
      kind: 'order-given-up',
      stream: this.stream.number,
      client: id,
      typeUrl: type.typeUrl,
      waitedFor: blocker,
    });
    return true;
  }

  private pushType(type: TypeStream, client: ConnectedClient): void {
    const { ledger } = type;
    while (!ledger.unanswered()) {
      const unsent = ledger.unsent();
      if (!unsent.sets && !unsent.removals) return;
      const sets = unsent.sets && this.allowed('sets', type, client);
      const removals = !unsent.sets && unsent.removals && this.allowed('removals', type, client);
      if (!sets && !removals && !unsent.urgent) return;
      const batch = ledger.take({ sets, removals });
      if (batch === null) {
        this.core.settled(client, type.typeUrl);
        return;
      }
      if (sets || removals) type.blockedSinceMs = null;
      this.send(type, batch, client);
    }
  }

  private send(type: TypeStream, batch: Batch, client: ConnectedClient): void {
    const composed = type.compose(batch);
    if (composed.rest.length > 0) type.ledger.putBack(batch, composed.rest);
    for (const { item, held } of composed.oversize) {
      const reason = { kind: 'oversize', bytes: entryBytes(item) } as const;
      reportQuarantine(
        this.core,
        type,
        this.stream.number,
        client,
        type.ledger.quarantine(item.resource.name, held, reason),
      );
      this.core.settled(client, type.typeUrl);
    }
    const empty = composed.stored.length === 0 && composed.removed.length === 0;
    if (empty && batch.kind !== 'empty' && !type.fullState) {
      this.core.settled(client, type.typeUrl);
      return;
    }
    this.write(type, composed, noRenewals, client);
  }

  /**
   * Renews what expires. State-of-the-world gets the content again: of an answer that holds renewals
   * only, Envoy 1.40 makes an empty list, and deletes what is not on it (tried).
   */
  private beat(type: TypeStream, client: ConnectedClient, view: View): void {
    if (!type.heartbeatDue || type.ledger.unanswered()) return;
    type.heartbeatDue = false;
    const due = dueHeartbeats(view, type);
    if (due.length === 0) return;
    const batch = { kind: 'empty' } as const;
    const nothing = { batch, stored: [], removed: [], version: '' };
    if (this.transport.variant === 'delta')
      this.write(
        type,
        nothing,
        due.map((item) => item.resource),
        client,
      );
    else if (type.fullState) this.write(type, type.compose(batch), noRenewals, client);
    else this.write(type, { ...nothing, stored: due, version: versionOf(due) }, noRenewals, client);
  }

  private write(
    type: TypeStream,
    outgoing: Outgoing,
    heartbeats: Content['heartbeats'],
    client: ConnectedClient,
  ): void {
    const { typeUrl } = type;
    const { batch, stored, removed, version } = outgoing;
    const { ttl } = type;
    const content = { variant: this.transport.variant, typeUrl, stored, removed, heartbeats, ttl, version };
    const { parts, bytes, nonce, serial } = this.core.encoder.encode(content, type.nonceSerial);
    type.ledger.sent(batch);
    type.nonce = nonce;
    type.nonceSerial = serial;
    type.sentAtMs = this.core.clock.nowMs();
    type.content = { stored, removed };
    this.core.counters.pushes += 1;
    this.core.counters.pushedBytes += bytes;
    this.core.counters.unanswered += 1;
    this.transport.send(parts);
    if (ttl) scheduleHeartbeat(this.core, type, { stored, heartbeats }, this.stream);
    if (this.transport.variant === 'delta' && typeUrl === typeUrls.cluster && this.types.size > 1)
      this.types.get(typeUrls.endpoint)?.ledger.askAgain(endpointsToRepeat(stored));
    if (!this.core.observed()) return;
    this.core.emit({
      kind: 'pushed',
      stream: this.stream.number,
      client: client.client.id,
      typeUrl,
      nonce,
      resources: stored.length,
      removed: removed.length,
      bytes,
    });
  }
}
