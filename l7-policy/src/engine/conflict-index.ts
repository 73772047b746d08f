import type { Document, DocumentId, Grant, Rule } from '../model/policy.ts';
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
  readonly kind: L7Kind;
  readonly rule: Rule;
  readonly source: SourceRef;
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
        const claim = { document: document.id, kind: grant.slot.kind, rule, source: grant.slot.source };
        for (const key of grantKeys(grant)) yield { key, claim };
      }
    }
  }

  return {
    check(document) {
      const problems: Problem[] = [];
      const own = new Map<string, Claim[]>();
      for (const { key, claim } of claimsOf(document)) {
        const inside = own.get(key) ?? [];
        const others = [...(claims.get(key) ?? [])].filter((other) => other.document !== document.id);
        const clash = [...others, ...inside].find(
          (other) => !kindsAgree(other.kind, claim.kind) && share(other.rule, claim.rule),
        );
        if (clash !== undefined) problems.push(conflict(claim, clash));
        own.set(key, [...inside, claim]);
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

function conflict(claim: Claim, other: Claim): Problem {
  const { file, line, column } = claim.source;
  const place = `${other.source.file}:${other.source.line}:${other.source.column}`;
  return {
    severity: 'error',
    file,
    line,
    column,
    message:
      `cannot merge conflicting L7 parsers: ${claim.kind} rules of ${claim.source.policy} here and ` +
      `${other.kind} rules of ${other.source.policy} (${place}) are for the same endpoints, peers and port`,
    hint: 'use different ports, or peers that do not overlap',
  };
}
