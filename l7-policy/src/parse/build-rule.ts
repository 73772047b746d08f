import { digest } from '../digest.ts';
import type {
  DocumentId,
  Grant,
  LabelSelector,
  Peer,
  PortMatch,
  Rule,
  SectionEffect,
  SlotSpec,
} from '../model/policy.ts';
import type { SourceRef } from '../types/source-ref.ts';
import type { Direction, SlotId } from '../types/subject-policy.ts';
import { selectorKey } from './label-selector.ts';
import type { L7Block } from './to-ports.ts';

/** A grant before its slot has a name. */
export interface DraftGrant {
  readonly direction: Direction;
  readonly effect: 'allow' | 'deny';
  readonly peers: readonly Peer[];
  readonly ports: readonly PortMatch[];
  readonly l7: L7Block | null;
  readonly l7Source: SourceRef | null;
  readonly source: SourceRef;
}

export interface DraftRule {
  readonly subject: LabelSelector;
  readonly node: boolean;
  readonly ingress: SectionEffect;
  readonly egress: SectionEffect;
  readonly grants: readonly DraftGrant[];
  readonly source: SourceRef;
}

/**
 * Names the slots of a document and gives its rules their keys. A slot is named by what surrounds it, so that
 * an edit inside keeps the name and its place in the file does not matter. What serves Kafka rules is part of it.
 */
export function buildRules(
  id: DocumentId,
  drafts: readonly DraftRule[],
  kafkaFilter: string,
): readonly Rule[] {
  const ordinals = new Map<string, number>();
  return drafts.map((draft) => {
    const subject = `${draft.node ? 'node' : 'endpoint'}:${selectorKey(draft.subject)}`;
    const grants = draft.grants.map((grant): Grant => {
      const shape = JSON.stringify([
        grant.direction,
        grant.effect,
        [...new Set(grant.peers.map(peerKey))].sort(),
        grant.ports.map((port) => JSON.stringify(port)).sort(),
      ]);
      const around = grant.l7?.kind === 'kafka' ? [id, subject, shape, kafkaFilter] : [id, subject, shape];
      const slot = grant.l7 === null ? null : buildSlot(around, grant, grant.l7, ordinals);
      const { direction, effect, peers, ports, source } = grant;
      const key = `${shape}${slot === null ? '' : slot.id}`;
      return Object.freeze({ direction, effect, peers, ports, slot, source, key });
    });
    return Object.freeze({
      subject: draft.subject,
      node: draft.node,
      ingress: draft.ingress,
      egress: draft.egress,
      grants,
      source: draft.source,
      key: digest([subject, draft.ingress, draft.egress, ...grants.map(({ key }) => key).sort()]),
    });
  });
}

function buildSlot(
  around: readonly string[],
  grant: DraftGrant,
  l7: L7Block,
  ordinals: Map<string, number>,
): SlotSpec {
  const base = digest([...around, l7.kind]);
  const ordinal = ordinals.get(base) ?? 0;
  ordinals.set(base, ordinal + 1);
  return Object.freeze({
    id: digest([base, String(ordinal)]) as SlotId,
    direction: grant.direction,
    kind: l7.kind,
    rules: l7.rules,
    tls: l7.tls,
    source: grant.l7Source ?? grant.source,
  });
}

/** A text that is the same for peers of the same meaning; the selector cache shares by it. */
export function peerKey(peer: Peer): string {
  switch (peer.kind) {
    case 'any':
      return 'any';
    case 'labels':
      return `labels:${selectorKey(peer.selector)}`;
    case 'nodes':
      return `nodes:${selectorKey(peer.selector)}`;
    case 'cidr':
      return `cidr:${peer.prefix.text}!${exceptKey(peer)}`;
    case 'cidr-group':
      return `${'name' in peer.group ? `group:${peer.group.name}` : `groups:${selectorKey(peer.group.labels)}`}!${exceptKey(peer)}`;
    case 'fqdn':
      return peer.match.kind === 'name' ? `fqdn:${peer.match.name}` : `fqdn*:${peer.match.pattern}`;
    case 'service': {
      const { service } = peer;
      return service.kind === 'name'
        ? `service:${service.namespace ?? ''}/${service.name}`
        : `services:${service.namespace ?? ''}/${selectorKey(service.selector)}`;
    }
  }
}

function exceptKey(peer: { readonly except: readonly { readonly text: string }[] }): string {
  return peer.except
    .map((prefix) => prefix.text)
    .sort()
    .join(',');
}
