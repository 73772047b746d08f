import { answerOf } from './answers.ts';
import { noClaims } from './claims.ts';
import { type ClientNode, clientIdOf } from './client.ts';
import type { ClientStream, ConnectedClient, Core } from './core.ts';
import type { Claim, NameState } from './ledger.ts';
import { Pusher } from './pusher.ts';
import { type DeltaRequest, decodeRequest, type Request, type SotwRequest } from './request.ts';
import { type Authorization, sharedLayer } from './server.ts';
import { deltaChange, type SubscriptionChange, sotwChange } from './subscription.ts';
import { type EndStatus, type Session, statusCode, type Transport } from './transport.ts';
import type { TurnTaker } from './turns.ts';
import { TypeStream } from './type-stream.ts';
import type { View } from './view.ts';

type Phase =
  | { readonly kind: 'silent' }
  /** Requests that came while the authorization hook thinks. */
  | { readonly kind: 'authorizing'; readonly queue: Request[] }
  | { readonly kind: 'open'; readonly client: ConnectedClient; readonly view: View }
  | { readonly kind: 'ended' };

const silent: Phase = Object.freeze({ kind: 'silent' });

/** How many requests may wait for the authorization hook. */
const queuedRequests = 64;

/** The protocol on one stream: requests in, responses out, nothing of gRPC. */
export function createSession(core: Core, transport: Transport): Session {
  return new StreamSession(core, transport);
}

class StreamSession implements Session, ClientStream, TurnTaker {
  readonly number: number;
  private readonly core: Core;
  private readonly transport: Transport;
  private readonly types = new Map<string, TypeStream>();
  private readonly pusher: Pusher;
  private phase: Phase = silent;
  private nameCount = 0;
  private cancelSilence: (() => void) | null;

  constructor(core: Core, transport: Transport) {
    this.core = core;
    this.transport = transport;
    this.number = core.nextStream();
    this.pusher = new Pusher(core, transport, this, this.types);
    this.cancelSilence = core.clock.after(core.limits.firstRequestMs, () => {
      if (this.phase.kind === 'silent')
        this.finish({ code: statusCode.invalidArgument, details: 'no request came in time' });
    });
    core.counters.streamsOpened += 1;
    core.counters.streamsOpen += 1;
    const { peer, variant } = transport;
    core.emit({ kind: 'stream-opened', stream: this.number, peer: peer.address, variant });
  }

  state(typeUrl: string, name: string): NameState {
    return this.types.get(typeUrl)?.ledger.state(name) ?? { kind: 'not-subscribed' };
  }

  subscribed(): ReadonlyMap<string, readonly string[]> {
    return new Map([...this.types].map(([typeUrl, type]) => [typeUrl, this.namesOf(type)]));
  }

  quarantined(): ReturnType<ClientStream['quarantined']> {
    return [...this.types.values()].flatMap(({ typeUrl, ledger }) =>
      [...ledger.quarantined().values()].map((quarantined) => ({ typeUrl, quarantined })),
    );
  }

  unanswered(): boolean {
    return [...this.types.values()].some((type) => type.ledger.unanswered());
  }

  end(reason: string): void {
    this.finish({ code: statusCode.unavailable, details: reason });
  }

  allReceived(): void {
    this.core.turns.now(this);
  }

  private namesOf({ typeUrl, ledger }: TypeStream): readonly string[] {
    const { wildcard, names } = ledger.subscription();
    if (this.phase.kind !== 'open' || !wildcard) return [...names];
    const listed = this.phase.view.listing(typeUrl).stored.map((item) => item.resource.name);
    return [...new Set([...listed, ...names])];
  }

  takeTurn(): void {
    if (this.phase.kind !== 'open' || this.core.holding()) return;
    try {
      this.pusher.push(this.phase.client, this.phase.view);
    } catch (error) {
      this.finish({
        code: statusCode.internal,
        details: error instanceof Error ? error.message : String(error),
      });
    }
  }

  wake(): void {
    if (this.phase.kind === 'open') this.core.turns.request(this);
  }

  receive(bytes: Uint8Array): void {
    if (this.phase.kind === 'ended') return;
    this.core.counters.requests += 1;
    this.core.counters.requestBytes += bytes.length;
    try {
      this.take(decodeRequest(this.transport.variant, bytes, this.core.limits));
    } catch (error) {
      const details = error instanceof Error ? error.message : String(error);
      this.finish({ code: statusCode.invalidArgument, details: `unreadable request: ${details}` });
    }
  }

  private take(request: Request): void {
    switch (this.phase.kind) {
      case 'silent':
        this.introduce(request);
        break;
      case 'authorizing':
        if (this.phase.queue.push(request) > queuedRequests)
          this.exhausted('too many requests before the authorization');
        break;
      case 'open':
        this.handle(request, this.phase.client, this.phase.view);
        break;
      case 'ended':
        break;
    }
  }

  private introduce(request: Request): void {
    this.cancelSilence?.();
    this.cancelSilence = null;
    const node = this.core.readNode(request.node);
    const queue = [request];
    const verdict = this.core.options.authorize?.(node, this.transport.peer) ?? { kind: 'allowed' };
    this.phase = { kind: 'authorizing', queue };
    if (!(verdict instanceof Promise)) this.admit(verdict, node, queue);
    else {
      verdict.then(
        (settled) => this.admit(settled, node, queue),
        (error: unknown) =>
          this.admit({ kind: 'denied', reason: `authorization failed: ${String(error)}` }, node, queue),
      );
    }
  }

  private admit(verdict: Authorization, node: ClientNode, queue: readonly Request[]): void {
    if (this.phase.kind !== 'authorizing') return;
    if (verdict.kind === 'denied') {
      this.core.counters.streamsRefused += 1;
      this.finish({ code: statusCode.permissionDenied, details: verdict.reason });
      return;
    }
    const id = clientIdOf(node, this.number);
    const before = this.core.clients.get(id);
    if (before !== undefined && before.streams.size >= this.core.limits.streamsPerClient) {
      this.core.counters.streamsRefused += 1;
      this.exhausted(`client ${id} has ${before.streams.size} streams already`);
      return;
    }
    const value = Object.freeze({ id, node, peer: this.transport.peer.address });
    const view = this.core.store.view(this.core.options.layers?.(node) ?? [sharedLayer]);
    const client = before ?? { client: value, view, streams: new Set() };
    client.client = value;
    client.view = view;
    client.streams.add(this);
    this.core.clients.set(id, client);
    this.phase = { kind: 'open', client, view };
    this.core.emit({
      kind: 'client-connected',
      stream: this.number,
      client: value,
      first: before === undefined,
    });
    if (before === undefined) this.core.connected(client);
    for (const request of queue) this.take(request);
  }

  private handle(request: Request, client: ConnectedClient, view: View): void {
    const typeUrl = request.typeUrl === '' ? (this.transport.typeUrl ?? '') : request.typeUrl;
    if (typeUrl === '' || (this.transport.typeUrl !== null && typeUrl !== this.transport.typeUrl)) {
      const details =
        typeUrl === '' ? 'a request on an aggregated stream names no type' : `${typeUrl} is not served here`;
      this.finish({ code: statusCode.invalidArgument, details });
      return;
    }
    const known = this.types.get(typeUrl);
    if (known === undefined && this.types.size >= this.core.limits.typesPerStream) {
      this.exhausted(`more than ${this.core.limits.typesPerStream} types on one stream`);
      return;
    }
    const type =
      known ?? new TypeStream(this.core, client.client.node, view, typeUrl, this.transport.variant, this);
    this.types.set(typeUrl, type);
    if (request.variant === 'delta') this.handleDelta(type, request, client, known === undefined);
    else this.handleSotw(type, request, client, known === undefined);
    this.core.settled(client, typeUrl);
    if (this.hasUnsent()) this.wake();
  }

  /** Most answers leave nothing to do. */
  private hasUnsent(): boolean {
    for (const { ledger, heartbeatDue } of this.types.values()) {
      const { sets, removals } = ledger.unsent();
      if (sets || removals || heartbeatDue) return true;
    }
    return false;
  }

  private handleDelta(
    type: TypeStream,
    request: DeltaRequest,
    client: ConnectedClient,
    first: boolean,
  ): void {
    if (request.nonce !== '') answerOf(this.core, { type, number: this.number, client, request });
    const { subscribe, unsubscribe, claims } = request;
    if (!first && subscribe.length === 0 && unsubscribe.length === 0) return;
    const change = deltaChange(type.ledger.subscription(), subscribe, unsubscribe);
    this.resubscribe(type, change, { versions: first ? claims : noClaims, everything: '' });
  }

  private handleSotw(type: TypeStream, request: SotwRequest, client: ConnectedClient, first: boolean): void {
    if (!first && request.nonce !== '' && request.nonce !== type.nonce) {
      this.core.counters.staleNonces += 1;
      return;
    }
    const answers = type.ledger.unanswered() && request.nonce === type.nonce;
    if (answers) answerOf(this.core, { type, number: this.number, client, request });
    const sameNames = type.namesKey !== null && Buffer.compare(type.namesKey, request.namesKey) === 0;
    if (sameNames) {
      // Not an answer and nothing new: the client lost what it had (Envoy does so when a cluster warms again).
      if (!answers && !type.fullState) type.ledger.askAgain(type.ledger.subscription().names);
      return;
    }
    type.namesKey = request.namesKey.slice();
    const change = sotwChange(type.ledger.subscription(), request.names());
    this.resubscribe(type, change, { versions: noClaims, everything: first ? request.version : '' });
  }

  private resubscribe(type: TypeStream, change: SubscriptionChange, claim: Claim): void {
    this.nameCount += change.next.names.size - type.ledger.subscription().names.size;
    if (this.nameCount > this.core.limits.namesPerStream) {
      this.exhausted(`more than ${this.core.limits.namesPerStream} names on one stream`);
      return;
    }
    type.ledger.subscribe(change, claim);
  }

  private exhausted(details: string): void {
    this.finish({ code: statusCode.resourceExhausted, details });
  }

  private finish(status: EndStatus): void {
    if (this.phase.kind === 'ended') return;
    this.closed(status.details);
    this.transport.end(status);
  }

  closed(reason: string): void {
    if (this.phase.kind === 'ended') return;
    const before = this.phase;
    this.phase = { kind: 'ended' };
    this.cancelSilence?.();
    for (const type of this.types.values()) {
      type.close();
      if (type.ledger.unanswered()) this.core.counters.unanswered -= 1;
    }
    this.core.counters.streamsOpen -= 1;
    if (before.kind === 'open') this.leave(before.client, before.view);
    this.core.emit({ kind: 'stream-closed', stream: this.number, reason });
  }

  private leave(own: ConnectedClient, view: View): void {
    const { id } = own.client;
    this.core.store.release(view);
    own.streams.delete(this);
    if (own.streams.size === 0) {
      this.core.clients.delete(id);
      this.core.emit({ kind: 'client-disconnected', client: id });
      this.core.disconnected(own);
    }
    for (const typeUrl of this.types.keys()) this.core.settled(own, typeUrl);
  }
}
