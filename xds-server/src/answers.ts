import { type ConnectedClient, type Core, poisonKey } from './core.ts';
import { countAck } from './counters.ts';
import { heldVersion } from './held.ts';
import type { Refusal } from './in-force.ts';
import type { Quarantined } from './ledger.ts';
import type { Request } from './request.ts';
import { noContent, type TypeStream } from './type-stream.ts';

export interface Answer {
  readonly type: TypeStream;
  /** Of the stream. */
  readonly number: number;
  readonly client: ConnectedClient;
  readonly request: Request;
}

/** A request that carries a nonce: acceptance or refusal of that response, or nothing when it is stale. */
export function answerOf(core: Core, { type, number, client, request }: Answer): void {
  const { ledger, typeUrl } = type;
  if (!ledger.unanswered() || request.nonce !== type.nonce) {
    core.counters.staleNonces += 1;
    return;
  }
  core.counters.unanswered -= 1;
  const { content } = type;
  type.content = noContent;
  if (request.refusal === null) {
    const latencyMs = core.clock.nowMs() - type.sentAtMs;
    countAck(core.counters, latencyMs);
    const { released } = ledger.accepted();
    if (!core.observed()) return;
    const { id } = client.client;
    const resources = content.stored.map((item) => item.resource.name);
    const { removed } = content;
    core.emit({
      kind: 'accepted',
      stream: number,
      client: id,
      typeUrl,
      nonce: type.nonce,
      resources,
      removed,
      latencyMs,
    });
    for (const name of released)
      core.emit({ kind: 'released', stream: number, client: id, ref: { typeUrl, name } });
    return;
  }
  core.counters.nacks += 1;
  const result = ledger.refused(request.refusal);
  const suspects = result.kind === 'culprit' ? 1 : result.suspects;
  core.emit({
    kind: 'refused',
    stream: number,
    client: client.client.id,
    typeUrl,
    nonce: type.nonce,
    suspects,
    detail: request.refusal,
  });
  if (result.kind === 'culprit') reportQuarantine(core, type, number, client, result.culprit);
}

/** Tells of a resource that is held back from a client, and remembers it as one to send alone elsewhere. */
export function reportQuarantine(
  core: Core,
  { typeUrl }: TypeStream,
  number: number,
  { client }: ConnectedClient,
  quarantined: Quarantined,
): void {
  core.counters.quarantined += 1;
  const { target } = quarantined;
  if (target !== undefined) core.poisoned.set(poisonKey(target.resource), target);
  core.emit({ kind: 'quarantined', stream: number, refusal: refusalOf(client.id, typeUrl, quarantined) });
}

/** A quarantined resource as the outside sees it. */
export function refusalOf(client: Refusal['client'], typeUrl: string, quarantined: Quarantined): Refusal {
  const { name, target, held, reason } = quarantined;
  return Object.freeze({
    client,
    ref: Object.freeze({ typeUrl, name }),
    version: target?.resource.version ?? null,
    accepted: heldVersion(held),
    reason,
  });
}
