import { answerOf } from './answers.ts';
import { noClaims } from './claims.ts';
import { type ClientNode, clientIdOf } from './client.ts';
import type { ClientStream, ConnectedClient, Core } from './core.ts';
import type { Claim } from './ledger.ts';
import { createPusher } from './pusher.ts';
import { type DeltaRequest, decodeRequest, type Request, type SotwRequest } from './request.ts';
import { type Authorization, sharedLayer } from './server.ts';
import { deltaChange, type SubscriptionChange, sotwChange } from './subscription.ts';
import { type EndStatus, type Session, statusCode, type Transport } from './transport.ts';
import { createTypeStream, type TypeStream } from './type-stream.ts';
import type { View } from './view.ts';

type State =
  | { readonly kind: 'silent' }
  /** Requests that came while the authorization hook thinks. */
  | { readonly kind: 'authorizing'; readonly queue: Request[] }
  | { readonly kind: 'open'; readonly client: ConnectedClient; readonly view: View }
  | { readonly kind: 'ended' };

/** How many requests may wait for the authorization hook. */
const queuedRequests = 64;

/** The protocol on one stream: requests in, responses out, nothing of gRPC. */
export function createSession(core: Core, transport: Transport): Session {
  const number = core.nextStream();
  const types = new Map<string, TypeStream>();
  let state: State = { kind: 'silent' };
  let nameCount = 0;
  const cancelSilence = core.clock.after(core.limits.firstRequestMs, () => {
    if (state.kind === 'silent')
      end({ code: statusCode.invalidArgument, details: 'no request came in time' });
  });
  const push = createPusher(core, transport, number, types, wake);

  const stream: ClientStream = {
    number,
    state: (typeUrl, name) => types.get(typeUrl)?.ledger.state(name) ?? { kind: 'not-subscribed' },
    subscribed: () => new Map([...types].map(([typeUrl, type]) => [typeUrl, namesOf(type)])),
    quarantined: () =>
      [...types.values()].flatMap(({ typeUrl, ledger }) =>
        [...ledger.quarantined().values()].map((quarantined) => ({ typeUrl, quarantined })),
      ),
    wake,
    unanswered: () => [...types.values()].some((type) => type.ledger.unanswered()),
    end: (reason) => end({ code: statusCode.unavailable, details: reason }),
  };

  core.counters.streamsOpened += 1;
  core.counters.streamsOpen += 1;
  core.emit({
    kind: 'stream-opened',
    stream: number,
    peer: transport.peer.address,
    variant: transport.variant,
  });

  function namesOf({ typeUrl, ledger }: TypeStream): readonly string[] {
    const { wildcard, names } = ledger.subscription();
    if (state.kind !== 'open' || !wildcard) return [...names];
    const listed = state.view.listing(typeUrl).stored.map((item) => item.resource.name);
    return [...new Set([...listed, ...names])];
  }

  function flush(): void {
    if (state.kind !== 'open' || core.holding()) return;
    try {
      push(state.client, state.view);
    } catch (error) {
      end({ code: statusCode.internal, details: error instanceof Error ? error.message : String(error) });
    }
  }

  function wake(): void {
    if (state.kind === 'open') core.turns.request(flush);
  }

  function receive(bytes: Uint8Array): void {
    if (state.kind === 'ended') return;
    core.counters.requests += 1;
    core.counters.requestBytes += bytes.length;
    try {
      take(decodeRequest(transport.variant, bytes, core.limits));
    } catch (error) {
      const details = error instanceof Error ? error.message : String(error);
      end({ code: statusCode.invalidArgument, details: `unreadable request: ${details}` });
    }
  }

  function take(request: Request): void {
    switch (state.kind) {
      case 'silent':
        introduce(request);
        break;
      case 'authorizing':
        if (state.queue.push(request) > queuedRequests)
          exhausted('too many requests before the authorization');
        break;
      case 'open':
        handle(request, state.client, state.view);
        break;
      case 'ended':
        break;
    }
  }

  function introduce(request: Request): void {
    cancelSilence();
    const node = core.readNode(request.node());
    const queue = [request];
    const verdict = core.options.authorize?.(node, transport.peer) ?? { kind: 'allowed' };
    state = { kind: 'authorizing', queue };
    if (!(verdict instanceof Promise)) admit(verdict, node, queue);
    else {
      verdict.then(
        (settled) => admit(settled, node, queue),
        (error: unknown) =>
          admit({ kind: 'denied', reason: `authorization failed: ${String(error)}` }, node, queue),
      );
    }
  }

  function admit(verdict: Authorization, node: ClientNode, queue: readonly Request[]): void {
    if (state.kind !== 'authorizing') return;
    if (verdict.kind === 'denied') {
      core.counters.streamsRefused += 1;
      end({ code: statusCode.permissionDenied, details: verdict.reason });
      return;
    }
    const id = clientIdOf(node, number);
    const before = core.clients.get(id);
    if (before !== undefined && before.streams.size >= core.limits.streamsPerClient) {
      core.counters.streamsRefused += 1;
      exhausted(`client ${id} has ${before.streams.size} streams already`);
      return;
    }
    const value = Object.freeze({ id, node, peer: transport.peer.address });
    const view = core.store.view(core.options.layers?.(node) ?? [sharedLayer]);
    const client = before ?? { client: value, view, streams: new Set() };
    client.client = value;
    client.view = view;
    client.streams.add(stream);
    core.clients.set(id, client);
    state = { kind: 'open', client, view };
    core.emit({ kind: 'client-connected', stream: number, client: value, first: before === undefined });
    if (before === undefined) core.connected(client);
    for (const request of queue) take(request);
  }

  function handle(request: Request, client: ConnectedClient, view: View): void {
    const typeUrl = request.typeUrl === '' ? (transport.typeUrl ?? '') : request.typeUrl;
    if (typeUrl === '' || (transport.typeUrl !== null && typeUrl !== transport.typeUrl)) {
      const details =
        typeUrl === '' ? 'a request on an aggregated stream names no type' : `${typeUrl} is not served here`;
      end({ code: statusCode.invalidArgument, details });
      return;
    }
    const known = types.get(typeUrl);
    if (known === undefined && types.size >= core.limits.typesPerStream) {
      exhausted(`more than ${core.limits.typesPerStream} types on one stream`);
      return;
    }
    const type = known ?? createTypeStream(core, client.client.node, view, typeUrl, transport.variant, wake);
    types.set(typeUrl, type);
    if (request.variant === 'delta') handleDelta(type, request, client, known === undefined);
    else handleSotw(type, request, client, known === undefined);
    core.settled(client, typeUrl);
    if (hasUnsent()) wake();
  }

  /** Most answers leave nothing to do. */
  function hasUnsent(): boolean {
    for (const { ledger, heartbeatDue } of types.values()) {
      const { sets, removals } = ledger.unsent();
      if (sets || removals || heartbeatDue) return true;
    }
    return false;
  }

  function handleDelta(
    type: TypeStream,
    request: DeltaRequest,
    client: ConnectedClient,
    first: boolean,
  ): void {
    if (request.nonce !== '') answerOf(core, { type, number, client, request });
    const { subscribe, unsubscribe, claims } = request;
    if (!first && subscribe.length === 0 && unsubscribe.length === 0) return;
    const change = deltaChange(type.ledger.subscription(), subscribe, unsubscribe);
    resubscribe(type, change, { versions: first ? claims : noClaims, everything: '' });
  }

  function handleSotw(type: TypeStream, request: SotwRequest, client: ConnectedClient, first: boolean): void {
    if (!first && request.nonce !== '' && request.nonce !== type.nonce) {
      core.counters.staleNonces += 1;
      return;
    }
    const answers = type.ledger.unanswered() && request.nonce === type.nonce;
    if (answers) answerOf(core, { type, number, client, request });
    const sameNames = type.namesKey !== null && Buffer.compare(type.namesKey, request.namesKey) === 0;
    if (sameNames) {
      // Not an answer and nothing new: the client lost what it had (Envoy does so when a cluster warms again).
      if (!answers && !type.fullState) type.ledger.askAgain(type.ledger.subscription().names);
      return;
    }
    type.namesKey = request.namesKey.slice();
    const change = sotwChange(type.ledger.subscription(), request.names());
    resubscribe(type, change, { versions: noClaims, everything: first ? request.version : '' });
  }

  function resubscribe(type: TypeStream, change: SubscriptionChange, claim: Claim): void {
    nameCount += change.next.names.size - type.ledger.subscription().names.size;
    if (nameCount > core.limits.namesPerStream) {
      exhausted(`more than ${core.limits.namesPerStream} names on one stream`);
      return;
    }
    type.ledger.subscribe(change, claim);
  }

  function exhausted(details: string): void {
    end({ code: statusCode.resourceExhausted, details });
  }

  function end(status: EndStatus): void {
    if (state.kind === 'ended') return;
    closed(status.details);
    transport.end(status);
  }

  function closed(reason: string): void {
    if (state.kind === 'ended') return;
    const before = state;
    state = { kind: 'ended' };
    cancelSilence();
    for (const type of types.values()) {
      type.unwatch();
      type.cancelHeartbeat?.();
      if (type.ledger.unanswered()) core.counters.unanswered -= 1;
    }
    core.counters.streamsOpen -= 1;
    if (before.kind === 'open') leave(before.client, before.view);
    core.emit({ kind: 'stream-closed', stream: number, reason });
  }

  function leave(own: ConnectedClient, view: View): void {
    const { id } = own.client;
    core.store.release(view);
    own.streams.delete(stream);
    if (own.streams.size === 0) {
      core.clients.delete(id);
      core.emit({ kind: 'client-disconnected', client: id });
      core.disconnected(own);
    }
    for (const typeUrl of types.keys()) core.settled(own, typeUrl);
  }

  return { receive, allReceived: () => core.turns.now(flush), closed };
}
