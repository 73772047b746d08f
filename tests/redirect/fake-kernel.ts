import type { Connection, Ifindex, InterfaceRole, TypedMap } from '@weir/bpf';
import type { Kernel } from '@weir/redirect';

/** A kernel in memory that writes down every effect in order. */
export interface FakeKernel extends Kernel {
  readonly effects: string[];
  /** Connections that `connections()` shows. */
  readonly tracked: Connection[];
  /** Makes the next write to that map fail. */
  failNext(map: string): void;
}

export function fakeKernel(): FakeKernel {
  const effects: string[] = [];
  const tracked: Connection[] = [];
  const failing = new Set<string>();
  const attached = new Map<Ifindex, InterfaceRole>();

  function map<Key, Value>(name: string): TypedMap<Key, Value> {
    const held = new Map<string, readonly [Key, Value]>();
    const text = (value: unknown): string => JSON.stringify(value);
    function set(key: Key, value: Value): void {
      if (failing.delete(name)) throw new Error(`${name} is full`);
      held.set(text(key), [key, value]);
      effects.push(`set ${name} ${text(key)} ${text(value)}`);
    }
    function remove(key: Key): boolean {
      effects.push(`delete ${name} ${text(key)}`);
      return held.delete(text(key));
    }
    return {
      name,
      maxEntries: 1_000,
      get: (key) => held.get(text(key))?.[1],
      set,
      delete: remove,
      setBatch: (entries) => {
        for (const [key, value] of entries) set(key, value);
      },
      deleteBatch: (keys) => [...keys].filter(remove).length,
      entries: () => [...held.values()].values(),
    };
  }

  return {
    effects,
    tracked,
    failNext: (name) => void failing.add(name),
    maps: {
      endpoints: map('endpoints'),
      localAddresses: map('localAddresses'),
      workloadPrefixes: map('workloadPrefixes'),
      ipcache: map('ipcache'),
      subjects: map('subjects'),
      policyPeers: map('policyPeers'),
      policyTables: map('policyTables'),
      pairs: map('pairs'),
      widenings: map('widenings'),
    },
    attach(ifindex, role = 'workload') {
      effects.push(`attach ${ifindex} ${role}`);
      attached.set(ifindex, role);
    },
    detach(ifindex) {
      effects.push(`detach ${ifindex}`);
      return attached.delete(ifindex);
    },
    attached: () => [...attached].map(([ifindex, role]) => ({ ifindex, role, current: true })),
    guard(on) {
      effects.push(`guard ${on ? 'on' : 'off'}`);
    },
    bumpIpcacheEpoch() {
      effects.push('epoch');
      return 1;
    },
    connections: () => tracked.values(),
  };
}
