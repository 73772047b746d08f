import type { Document, DocumentId, Grant, Rule, SlotSpec } from '../model/policy.ts';
import { peerKey } from '../parse/build-rule.ts';
import type { L7Kind } from '../types/l7-rule.ts';
import type { Problem } from '../types/problem.ts';
import type { SourceRef } from '../types/source-ref.ts';
import { kindsAgree } from './set-registry.ts';

/** Finds L7 rules of different parsers for the same subjects, peers and port: no proxy could serve both. */
export interface ConflictIndex {
  /** What stands against putting the document into force. */
  check(document: Document): readonly Problem[];
  add(document: Document): void;
  remove(document: Document): void;
}

interface Claim {
  readonly document: DocumentId;
  readonly slot: SlotSpec;
  readonly rule: Rule;
}

/** `share` tells whether some known endpoint is a subject of both rules. */
export function createConflictIndex(share: (a: Rule, b: Rule) => boolean): ConflictIndex {
  const claims = new Map<string, Set<Claim>>();
  const byDocument = new Map<DocumentId, { readonly key: string; readonly claim: Claim }[]>();

  function* claimsOf(document: Document): Iterable<{ key: string; claim: Claim }> {
    if (document.kind !== 'policy') return;
    for (const rule of document.rules) {
      for (const grant of rule.grants) {
        if (grant.slot === null) continue;
        const claim = { document: document.id, slot: grant.slot, rule };
        for (const key of grantKeys(grant)) yield { key, claim };
      }
    }
  }

  return {
    check(document) {
      const own = new Map<string, Claim[]>();
      for (const { key, claim } of claimsOf(document)) own.set(key, [...(own.get(key) ?? []), claim]);
      const problems: Problem[] = [];
      for (const [key, list] of own) {
        const others = [...(claims.get(key) ?? [])].filter((other) => other.document !== document.id);
        list.forEach((claim, index) => {
          const terminated = () =>
            [...others, ...list].some(
              ({ slot, rule }) => (slot.tls?.terminating ?? null) !== null && share(rule, claim.rule),
            );
          for (const other of [...others, ...list.slice(0, index)]) {
            const clash = clashOf(claim.slot, other.slot, terminated);
            if (clash === null || !share(other.rule, claim.rule)) continue;
            problems.push(conflict(claim.slot.source, other.slot.source, clash));
            break;
          }
        });
      }
      return problems;
    },
    add(document) {
      const list = [...claimsOf(document)];
      if (list.length === 0) return;
      byDocument.set(document.id, list);
      for (const { key, claim } of list) {
        const set = claims.get(key) ?? new Set();
        set.add(claim);
        claims.set(key, set);
      }
    },
    remove(document) {
      for (const { key, claim } of byDocument.get(document.id) ?? []) {
        const set = claims.get(key);
        set?.delete(claim);
        if (set?.size === 0) claims.delete(key);
      }
      byDocument.delete(document.id);
    },
  };
}

function* grantKeys(grant: Grant): Iterable<string> {
  for (const peer of new Set(grant.peers.map(peerKey))) {
    for (const port of grant.ports) {
      if (port.kind === 'all') continue;
      for (const protocol of port.protocols) {
        const range = port.kind === 'named' ? port.name : `${port.low}-${port.high}`;
        yield `${grant.direction} ${peer} ${protocol} ${range}`;
      }
    }
  }
}

interface Clash {
  readonly what: string;
  readonly here: string;
  readonly there: string;
}

/**
 * What two slots for the same endpoints, peers and port cannot agree on, as Cilium sees it; null: nothing.
 * `terminated`: some slot there terminates TLS.
 */
function clashOf(a: SlotSpec, b: SlotSpec, terminated: () => boolean): Clash | null {
  if (!kindsAgree(a.kind, b.kind)) {
    return { what: 'conflicting L7 parsers', here: `${a.kind} rules`, there: `${b.kind} rules` };
  }
  if (a.kind === b.kind && a.kind !== 'tls' && a.kind !== 'listener') return null;
  for (const side of ['terminating', 'originating'] as const) {
    const [one, other] = [a.tls?.[side] ?? null, b.tls?.[side] ?? null];
    if (one !== null && other !== null && one !== other) {
      return { what: `conflicting ${side}TLS`, here: `secret ${one}`, there: `secret ${other}` };
    }
  }
  const both = [a, b];
  const has = (kind: L7Kind) => both.some(({ rules }) => rules.some(({ rule }) => rule.kind === kind));
  if (has('tls') && both.some(hasRequestRules) && !terminated()) {
    const called = (slot: SlotSpec) => (hasRequestRules(slot) ? `${slot.kind} rules` : 'serverNames');
    return { what: 'L7 rules and serverNames without terminatingTLS', here: called(a), there: called(b) };
  }
  const [one, other] = [listenerOf(a), listenerOf(b)];
  if (one === null || other === null || one.priority !== other.priority || one.name === other.name)
    return null;
  return { what: `listeners of one priority (${one.priority})`, here: one.name, there: other.name };
}

function hasRequestRules({ rules }: SlotSpec): boolean {
  return rules.some(({ rule }) => rule.kind !== 'tls' && rule.kind !== 'listener');
}

function listenerOf({ rules }: SlotSpec): { readonly name: string; readonly priority: number } | null {
  for (const { rule } of rules) {
    if (rule.kind !== 'listener') continue;
    const { resourceKind, resourceName, listener, priority } = rule;
    return { name: `${resourceKind} ${resourceName}/${listener}`, priority };
  }
  return null;
}

function conflict(here: SourceRef, there: SourceRef, clash: Clash): Problem {
  const { file, line, column } = here;
  return {
    severity: 'error',
    file,
    line,
    column,
    message:
      `cannot merge ${clash.what}: ${clash.here} of ${here.policy} here and ${clash.there} of ` +
      `${there.policy} (${there.file}:${there.line}:${there.column}) are for the same endpoints, peers and port`,
    hint: 'use different ports, or peers that do not overlap',
  };
}
