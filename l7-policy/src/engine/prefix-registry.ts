import type { Document, Peer } from '../model/policy.ts';
import { type Prefix, type PrefixText, parsePrefix } from '../net/prefix.ts';
import { peerKey } from '../parse/build-rule.ts';
import type { PeerFactStore } from './peer-fact-store.ts';

/** Prefixes outside the cluster that rules speak of: each must have an identity of its own. */
export interface PrefixRegistry {
  addDocument(document: Document): void;
  removeDocument(document: Document): void;
  /** Facts about groups, services or names changed: looks again at the peers that depend on them. */
  refresh(kind: 'cidr-group' | 'service' | 'fqdn'): void;
}

export interface PrefixUse {
  begin(prefix: Prefix): void;
  end(prefix: Prefix): void;
}

interface NeededPeer {
  readonly peer: Peer;
  references: number;
  prefixes: ReadonlyMap<PrefixText, Prefix>;
}

export function createPrefixRegistry(facts: PeerFactStore, use: PrefixUse): PrefixRegistry {
  const peers = new Map<string, NeededPeer>();
  const counts = new Map<PrefixText, number>();

  const count = (prefix: Prefix, by: number) => {
    const before = counts.get(prefix.text) ?? 0;
    const after = before + by;
    if (after === 0) counts.delete(prefix.text);
    else counts.set(prefix.text, after);
    if (before === 0 && after > 0) use.begin(prefix);
    if (before > 0 && after === 0) use.end(prefix);
  };

  const replace = (needed: NeededPeer, after: ReadonlyMap<PrefixText, Prefix>) => {
    const before = needed.prefixes;
    needed.prefixes = after;
    for (const [text, prefix] of after) if (!before.has(text)) count(prefix, 1);
    for (const [text, prefix] of before) if (!after.has(text)) count(prefix, -1);
  };

  const refer = (peer: Peer, by: number) => {
    const key = peerKey(peer);
    let needed = peers.get(key);
    if (needed === undefined) {
      needed = { peer, references: 0, prefixes: new Map() };
      peers.set(key, needed);
      replace(needed, prefixesOf(peer, facts));
    }
    needed.references += by;
    if (needed.references > 0) return;
    replace(needed, new Map());
    peers.delete(key);
  };

  return {
    addDocument: (document) => eachPeer(document, (peer) => refer(peer, 1)),
    removeDocument: (document) => eachPeer(document, (peer) => refer(peer, -1)),
    refresh(kind) {
      for (const needed of peers.values()) {
        if (needed.peer.kind === kind) replace(needed, prefixesOf(needed.peer, facts));
      }
    },
  };
}

function eachPeer(document: Document, visit: (peer: Peer) => void): void {
  if (document.kind !== 'policy') return;
  for (const rule of document.rules) {
    for (const grant of rule.grants) {
      for (const peer of grant.peers) {
        if (peer.kind !== 'any' && peer.kind !== 'labels' && peer.kind !== 'nodes') visit(peer);
      }
    }
  }
}

function prefixesOf(peer: Peer, facts: PeerFactStore): ReadonlyMap<PrefixText, Prefix> {
  const list = (): readonly (Prefix | null)[] => {
    switch (peer.kind) {
      case 'cidr':
        return [peer.prefix, ...peer.except];
      case 'cidr-group':
        return [...facts.groupPrefixes(peer.group), ...peer.except];
      case 'fqdn':
        return facts.addressesOf(peer.match).map(parsePrefix);
      case 'service':
        return facts.serviceAddresses(peer.service);
      case 'any':
      case 'labels':
      case 'nodes':
        return [];
    }
  };
  return new Map(
    list().flatMap((prefix) => (prefix === null || prefix.length === 0 ? [] : [[prefix.text, prefix]])),
  );
}
