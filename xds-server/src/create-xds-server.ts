import { refusalOf } from './answers.ts';
import type { Client, ClientId } from './client.ts';
import { systemClock } from './clock.ts';
import type { ConnectedClient, Core } from './core.ts';
import { poisonKey } from './core.ts';
import { createCounters, metricsOf } from './counters.ts';
import { createEncoder } from './encoder.ts';
import type { XdsEvent } from './events.ts';
import { heldVersion } from './held.ts';
import type { NameState } from './ledger.ts';
import { defaultLimits } from './limits.ts';
import { type ListenerSocket, listenGrpc } from './listen-grpc.ts';
import { createNodeReader } from './node-reader.ts';
import { type ResourceStatus, sharedLayer, type XdsServer, type XdsServerOptions } from './server.ts';
import { createSession } from './session.ts';
import { createStore } from './store.ts';
import type { Session, Transport } from './transport.ts';
import { statusCode } from './transport.ts';
import { createTurns } from './turns.ts';
import { createChunker, createWhole } from './view-chunks.ts';
import { createWaiters } from './waiters.ts';

/** An xDS server that holds nothing yet and listens nowhere yet. */
export function createXdsServer(options: XdsServerOptions = {}): XdsServer {
  const clock = options.clock ?? systemClock;
  const limits = Object.freeze({ ...defaultLimits, ...options.limits });
  const store = createStore();
  const turns = createTurns(clock);
  const counters = createCounters();
  const clients = new Map<ClientId, ConnectedClient>();
  const handlers = new Set<(event: XdsEvent) => void>();
  const waiters = createWaiters(clock, clients);
  const sockets = new Set<ListenerSocket>();
  let holding = options.hold ?? false;
  let closing = false;
  let streams = 0;

  const core: Core = {
    options,
    limits,
    clock,
    store,
    encoder: createEncoder(),
    readNode: createNodeReader(),
    turns,
    counters,
    chunks: createChunker(limits.responseBytes),
    whole: createWhole(),
    clients,
    poisoned: new Map(),
    emit: (event) => {
      for (const handler of handlers) {
        try {
          handler(event);
        } catch (error) {
          // The handler's fault, not that of the stream it was told of.
          clock.soon(() => {
            throw error;
          });
        }
      }
    },
    observed: () => handlers.size > 0,
    connected: waiters.connected,
    settled: waiters.settled,
    disconnected: waiters.disconnected,
    holding: () => holding,
    nextStream: () => ++streams,
  };

  function open(transport: Transport): Session {
    const refusal = closing
      ? { code: statusCode.unavailable, details: 'the server is shutting down' }
      : counters.streamsOpen >= limits.streams
        ? { code: statusCode.resourceExhausted, details: `${limits.streams} streams are open already` }
        : null;
    if (refusal === null) return createSession(core, transport);
    counters.streamsRefused += 1;
    transport.end(refusal);
    return { receive: () => undefined, allReceived: () => undefined, closed: () => undefined };
  }

  function allStreams(): readonly { readonly id: ClientId; readonly stream: ConnectedStream }[] {
    return [...clients].flatMap(([id, client]) => [...client.streams].map((stream) => ({ id, stream })));
  }

  function answered(deadlineMs: number): Promise<void> {
    if (!allStreams().some(({ stream }) => stream.unanswered())) return Promise.resolve();
    return new Promise((resolve) => {
      const stop = (): void => {
        handlers.delete(onEvent);
        cancel();
        resolve();
      };
      const onEvent = (): void => {
        if (!allStreams().some(({ stream }) => stream.unanswered())) stop();
      };
      const cancel = clock.after(deadlineMs, stop);
      handlers.add(onEvent);
    });
  }

  const server: XdsServer = {
    update: (...updates) => {
      const targets = store.apply(updates, sharedLayer);
      for (const target of targets) {
        const key = poisonKey(target);
        if (core.poisoned.get(key)?.serial !== target.serial) core.poisoned.delete(key);
      }
      return targets;
    },
    targets: (refs, layer = sharedLayer) => store.targets(refs, layer),
    resources: (layer = sharedLayer) => store.resources(layer),
    inForce: waiters.wait,
    ready: () => {
      holding = false;
      for (const { stream } of allStreams()) stream.wake();
    },
    clients: (): readonly Client[] => [...clients.values()].map(({ client }) => client),
    status: (id) => {
      const client = clients.get(id);
      return client === undefined ? undefined : statusOf(client);
    },
    refusals: () =>
      allStreams().flatMap(({ id, stream }) =>
        stream.quarantined().map(({ typeUrl, quarantined }) => refusalOf(id, typeUrl, quarantined)),
      ),
    subscribe: (handler) => {
      handlers.add(handler);
      return () => {
        handlers.delete(handler);
      };
    },
    metrics: () => metricsOf(counters, { clientsConnected: clients.size, queued: turns.waiting() }),
    open,
    listen: async (address) => {
      const socket = await listenGrpc(address, { open, limits, clock, status: server });
      sockets.add(socket);
      return socket.listening;
    },
    close: async ({ drainMs = 0 } = {}) => {
      closing = true;
      for (const socket of sockets) socket.drain();
      if (drainMs > 0) await answered(drainMs);
      for (const { stream } of allStreams()) stream.end('the server is shutting down');
      await Promise.all([...sockets].map((socket) => socket.close()));
      sockets.clear();
    },
  };
  return Object.freeze(server);
}

type ConnectedStream = ConnectedClient['streams'] extends Set<infer Stream> ? Stream : never;

function statusOf({
  client,
  streams,
}: ConnectedClient): ReadonlyMap<string, ReadonlyMap<string, ResourceStatus>> {
  const status = new Map<string, Map<string, ResourceStatus>>();
  for (const stream of streams) {
    for (const [typeUrl, names] of stream.subscribed()) {
      const byName = status.get(typeUrl) ?? new Map<string, ResourceStatus>();
      status.set(typeUrl, byName);
      for (const name of names) {
        const one = resourceStatus(client, typeUrl, stream.state(typeUrl, name));
        if (one !== null) byName.set(name, one);
      }
    }
  }
  return status;
}

function resourceStatus(client: Client, typeUrl: string, state: NameState): ResourceStatus | null {
  switch (state.kind) {
    case 'not-subscribed':
      return null;
    case 'in-force':
      return state.target === undefined
        ? { kind: 'absent' }
        : { kind: 'in-force', version: state.target.resource.version };
    case 'waiting':
    case 'sent':
      return { kind: state.kind, version: heldVersion(state.held) };
    case 'refused':
      return { kind: 'refused', refusal: refusalOf(client.id, typeUrl, state.quarantined) };
  }
}
