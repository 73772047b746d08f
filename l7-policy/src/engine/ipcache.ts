import type { PrefixText } from '../net/prefix.ts';
import type { Identity } from '../types/identity.ts';

/** Who says what an address is; the earlier in this list wins. */
const layers = ['endpoint', 'elsewhere', 'local-prefix', 'world'] as const;
export type IpcacheLayer = (typeof layers)[number];

export interface Ipcache {
  /** Within a layer the owner that came last wins. */
  set(layer: IpcacheLayer, prefix: PrefixText, owner: string, identity: Identity): void;
  remove(layer: IpcacheLayer, prefix: PrefixText, owner: string): void;
  /** What changed since the last call. */
  takeChanges(): { readonly set: ReadonlyMap<string, Identity>; readonly removed: readonly string[] };
  published(): ReadonlyMap<PrefixText, Identity>;
}

type Claims = Partial<Record<IpcacheLayer, Map<string, Identity>>>;

/** Prefix -> identity, from several sources. */
export function createIpcache(): Ipcache {
  const claims = new Map<PrefixText, Claims>();
  const published = new Map<PrefixText, Identity>();
  const touched = new Set<PrefixText>();
  return {
    set(layer, prefix, owner, identity) {
      const claim = claims.get(prefix) ?? {};
      const owners = claim[layer] ?? new Map<string, Identity>();
      owners.delete(owner);
      owners.set(owner, identity);
      claim[layer] = owners;
      claims.set(prefix, claim);
      touched.add(prefix);
    },
    remove(layer, prefix, owner) {
      const claim = claims.get(prefix);
      const owners = claim?.[layer];
      if (claim === undefined || owners === undefined) return;
      owners.delete(owner);
      if (owners.size === 0) delete claim[layer];
      if (Object.keys(claim).length === 0) claims.delete(prefix);
      touched.add(prefix);
    },
    takeChanges() {
      const set = new Map<string, Identity>();
      const removed: string[] = [];
      for (const prefix of touched) {
        const winner = winning(claims.get(prefix));
        const before = published.get(prefix);
        if (winner === before) continue;
        if (winner === undefined) {
          published.delete(prefix);
          removed.push(prefix);
        } else {
          published.set(prefix, winner);
          set.set(prefix, winner);
        }
      }
      touched.clear();
      return { set, removed };
    },
    published: () => published,
  };
}

function winning(claim: Claims | undefined): Identity | undefined {
  for (const layer of layers) {
    const owners = claim?.[layer];
    if (owners !== undefined) return [...owners.values()].at(-1);
  }
  return undefined;
}
