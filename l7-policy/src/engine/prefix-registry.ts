import type { Document, FqdnMatch, Peer } from '../model/policy.ts';
import { type Prefix, type PrefixText, parsePrefix } from '../net/prefix.ts';
import { peerKey } from '../parse/build-rule.ts';
import type { PeerFactStore } from './peer-fact-store.ts';

/** Prefixes outside the cluster that rules speak of: each must have an identity of its own. */
export interface PrefixRegistry {
  addDocument(document: Document): void;
  removeDocument(document: Document): void;
  /** Facts about groups or services changed: looks again at the peers that depend on them. */
  refresh(kind: 'cidr-group' | 'service'): void;
  /** A name resolves to other addresses than before. */
  renameAddresses(name: string, before: readonly PrefixText[], after: readonly PrefixText[]): void;
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
  const fqdns = new Map<string, { readonly match: FqdnMatch; references: number }>();
  /** Names that have resolved, with how many of `fqdns` speak of them. */
  const spoken = new Map<string, number>();

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

  const countText = (text: PrefixText, by: number) => {
    const prefix = parsePrefix(text);
    if (prefix !== null) count(prefix, by);
  };

  /** An address is needed once for each name that some rule speaks of and that resolves to it. */
  const referName = (name: string, by: number) => {
    const before = spoken.get(name) ?? 0;
    const after = before + by;
    if (after === 0) spoken.delete(name);
    else spoken.set(name, after);
    if (before === 0 || after === 0) for (const address of facts.addressesOf(name)) countText(address, by);
  };

  const refer = (peer: Peer, by: number) => {
    if (peer.kind === 'fqdn') {
      referFqdn(peer.match, by);
      return;
    }
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

  const referFqdn = (match: FqdnMatch, by: number) => {
    const key = match.kind === 'name' ? match.name : match.pattern;
    const known = fqdns.get(key) ?? { match, references: 0 };
    const before = known.references;
    known.references += by;
    if (known.references === 0) fqdns.delete(key);
    else fqdns.set(key, known);
    if (before !== 0 && known.references !== 0) return;
    for (const name of facts.names()) if (facts.nameMatches(match, name)) referName(name, by);
  };

  return {
    renameAddresses(name, before, after) {
      let speakers = spoken.get(name) ?? 0;
      if (before.length === 0) {
        // A name that was not known until now.
        speakers = 0;
        for (const { match } of fqdns.values()) if (facts.nameMatches(match, name)) speakers += 1;
        if (speakers > 0) spoken.set(name, speakers);
      }
      if (after.length === 0) spoken.delete(name);
      if (speakers === 0) return;
      for (const address of after) if (!before.includes(address)) countText(address, 1);
      for (const address of before) if (!after.includes(address)) countText(address, -1);
    },
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
      case 'service':
        return facts.serviceAddresses(peer.service);
      // Names are counted by themselves: there may be many, and each resolves anew all the time.
      case 'fqdn':
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
