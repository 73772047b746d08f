import { refusalOf } from './answers.ts';
import type { ClientId } from './client.ts';
import type { Clock } from './clock.ts';
import type { ConnectedClient } from './core.ts';
import type { InForce, InForceRequest, Outstanding, Refusal, Target } from './in-force.ts';
import type { NameState } from './ledger.ts';

/** Those who wait until clients have something. */
export interface Waiters {
  readonly wait: (request: InForceRequest) => Promise<InForce>;
  /** To be called when a client's standing to names of a type may have changed, or it is gone. */
  readonly settled: (client: ConnectedClient, typeUrl: string) => void;
  readonly connected: (client: ConnectedClient) => void;
  readonly disconnected: (client: ConnectedClient) => void;
}

interface Waiter {
  readonly request: InForceRequest;
  readonly types: ReadonlySet<string>;
  /** By client: the targets that it has not accepted. */
  readonly missing: Map<ClientId, Set<Target>>;
  readonly done: (result: InForce) => void;
}

type Standing =
  | { readonly kind: 'has' }
  | { readonly kind: 'lacks'; readonly state: Outstanding['state'] }
  | { readonly kind: 'refuses'; readonly refusal: Refusal };

export function createWaiters(clock: Clock, clients: ReadonlyMap<ClientId, ConnectedClient>): Waiters {
  const waiters = new Set<Waiter>();

  /** Adds a client to what a waiter watches, if the targets concern it at all. */
  function join(waiter: Waiter, client: ConnectedClient): void {
    const { request, missing } = waiter;
    if (request.clients?.(client.client) === false) return;
    const concerned = request.targets.filter(({ layer, typeUrl, name }) =>
      client.view.shows(layer, typeUrl, name),
    );
    if (concerned.length === 0) return;
    missing.set(client.client.id, new Set(concerned));
    check(waiter, client, null);
  }

  function check(waiter: Waiter, client: ConnectedClient, typeUrl: string | null): void {
    const targets = waiter.missing.get(client.client.id);
    if (targets === undefined) return;
    const refusals: Refusal[] = [];
    for (const target of targets) {
      if (typeUrl !== null && target.typeUrl !== typeUrl) continue;
      const standing = standingOf(client, target);
      if (standing.kind === 'has') targets.delete(target);
      else if (standing.kind === 'refuses') refusals.push(standing.refusal);
    }
    if (refusals.length > 0) waiter.done({ kind: 'refused', refusals });
  }

  function finishIfComplete(waiter: Waiter): void {
    if (waiter.missing.size === 0) return;
    for (const targets of waiter.missing.values()) if (targets.size > 0) return;
    waiter.done({ kind: 'in-force', clients: [...waiter.missing.keys()] });
  }

  function outstanding(waiter: Waiter): readonly Outstanding[] {
    return [...waiter.missing].flatMap(([id, targets]) => {
      const client = clients.get(id);
      if (client === undefined) return [];
      return [...targets].map((target): Outstanding => {
        const standing = standingOf(client, target);
        const { typeUrl, name } = target;
        return {
          client: id,
          ref: { typeUrl, name },
          state: standing.kind === 'lacks' ? standing.state : 'waiting',
        };
      });
    });
  }

  function wait(request: InForceRequest): Promise<InForce> {
    return new Promise((resolve) => {
      const types = new Set(request.targets.map(({ typeUrl }) => typeUrl));
      const abort = (): void => waiter.done({ kind: 'aborted' });
      const cancelDeadline = clock.after(request.deadlineMs, () =>
        waiter.done({ kind: 'deadline', outstanding: outstanding(waiter) }),
      );
      const waiter: Waiter = {
        request,
        types,
        missing: new Map(),
        done: (result) => {
          if (!waiters.delete(waiter)) return;
          cancelDeadline();
          request.signal?.removeEventListener('abort', abort);
          resolve(Object.freeze(result));
        },
      };
      waiters.add(waiter);
      if (request.signal?.aborted === true) abort();
      request.signal?.addEventListener('abort', abort);
      if (request.targets.length === 0) waiter.done({ kind: 'in-force', clients: [] });
      for (const client of clients.values()) join(waiter, client);
      finishIfComplete(waiter);
    });
  }

  return {
    wait,
    settled: (client, typeUrl) => {
      for (const waiter of waiters) {
        if (!waiter.types.has(typeUrl)) continue;
        check(waiter, client, typeUrl);
        finishIfComplete(waiter);
      }
    },
    connected: (client) => {
      for (const waiter of waiters) join(waiter, client);
    },
    disconnected: ({ client: { id } }) => {
      for (const waiter of waiters) {
        const targets = waiter.missing.get(id);
        waiter.missing.delete(id);
        if (targets !== undefined && targets.size > 0) waiter.done({ kind: 'disconnected', clients: [id] });
        else finishIfComplete(waiter);
      }
    },
  };
}

/** How a client stands to a target: every stream of it that asks for the name has to have it. */
function standingOf(client: ConnectedClient, target: Target): Standing {
  let state: Outstanding['state'] = 'not-subscribed';
  for (const stream of client.streams) {
    const found = stream.state(target.typeUrl, target.name);
    if (found.kind === 'not-subscribed') continue;
    if (found.kind === 'refused' && !has(found, target)) {
      return { kind: 'refuses', refusal: refusalOf(client.client.id, target.typeUrl, found.quarantined) };
    }
    if (!has(found, target)) return { kind: 'lacks', state: found.kind === 'sent' ? 'sent' : 'waiting' };
    state = 'waiting';
  }
  const gone = state === 'not-subscribed' && target.version === null;
  return gone || state === 'waiting' ? { kind: 'has' } : { kind: 'lacks', state };
}

function has(found: Exclude<NameState, { kind: 'not-subscribed' }>, target: Target): boolean {
  switch (found.kind) {
    case 'in-force':
      return found.target === undefined ? target.version === null : found.target.serial >= target.serial;
    case 'waiting':
    case 'sent':
      return holdsTarget(found.held, target);
    case 'refused':
      return holdsTarget(found.quarantined.held, target);
  }
}

function holdsTarget(held: { readonly kind: string; readonly serial?: number }, target: Target): boolean {
  if (held.kind === 'stored') return (held.serial ?? 0) >= target.serial;
  return held.kind === 'nothing' && target.version === null;
}
