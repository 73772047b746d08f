// The order of effects, case by case. Past 500 lines, because all cases stand on one fake kernel and read as one list.
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import {
  type Connection,
  type DenyAction,
  hostIdentity,
  ipAddress,
  noSet,
  openGeneration,
  proxyPort,
  subjectNumber,
} from '@weir/bpf';
import {
  anyIdentity,
  classId,
  type DirectionPolicy,
  directionId,
  type Identity,
  identity,
  type L7Class,
  type L7Set,
  l7SetId,
  type PortTable,
  type SlotId,
  type SubjectKey,
  type SubjectPolicy,
  subjectKey,
  type TableEntry,
  tableId,
} from '@weir/l7-policy';
import {
  type AllocationStore,
  type DesiredState,
  openRedirector,
  type StoredAllocation,
} from '@weir/redirect';
import { fakeKernel } from './fake-kernel.ts';

const PORTS = { first: 14_000, last: 14_002 };
const slot = (name: string): SlotId => name as SlotId;
const landing: L7Set = { id: l7SetId('landing'), direction: 'ingress', kind: 'http', slots: [slot('a')] };
const wider: L7Set = {
  id: l7SetId('wider'),
  direction: 'ingress',
  kind: 'http',
  slots: [slot('a'), slot('b')],
};
const landingClass: L7Class = { id: classId('landing'), kind: 'http', egress: null, ingress: landing.id };
const widerClass: L7Class = { id: classId('wider'), kind: 'http', egress: null, ingress: wider.id };
const star = subjectKey('deathstar');

function memoryStore(): AllocationStore & { stored: StoredAllocation | undefined } {
  const store = {
    stored: undefined as StoredAllocation | undefined,
    load: () => store.stored,
    save: (allocation: StoredAllocation) => {
      store.stored = JSON.parse(JSON.stringify(allocation));
    },
  };
  return store;
}

/** What a policy says of one peer on one port. */
interface Entry extends TableEntry {
  readonly peer: Identity;
}

function entry(fields: Partial<Entry>): Entry {
  const any = { peer: anyIdentity, protocol: 6, port: 80, portPrefixLength: 16 } as const;
  return { ...any, verdict: { kind: 'allow' }, ...fields };
}

function table(entries: readonly Entry[]): PortTable {
  const own = entries.map(({ peer, ...rest }) => rest);
  return { id: tableId(JSON.stringify(own)), entries: own };
}

/** Like the engine's: equal rules, equal object. `rules` says what they are; by default what comes of them. */
function direction(entries: readonly Entry[], rules = JSON.stringify(entries)): DirectionPolicy {
  const tables = new Map(
    entries.map(({ peer }) => [peer, table(entries.filter((other) => other.peer === peer))]),
  );
  const any = tables.get(anyIdentity) ?? table([]);
  tables.delete(anyIdentity);
  return {
    id: directionId(rules),
    direction: 'ingress',
    any,
    sets: [...new Set(entries.flatMap(({ verdict }) => (verdict.kind === 'l7' ? [verdict.set] : [])))],
    forEachPeer: (visit) => {
      for (const [peer, own] of tables) visit(peer, own);
    },
    tableOf: (peer) => tables.get(peer) ?? any,
  };
}

function subject(key: SubjectKey, { id }: DirectionPolicy): SubjectPolicy {
  return { key, identity: identity(300), ingress: id, egress: null };
}

function desired(fields: {
  readonly entries?: readonly Entry[];
  /** Instead of entries. */
  readonly policy?: DirectionPolicy;
  readonly classes?: readonly L7Class[];
  readonly ready?: readonly L7Class[];
  readonly ipcache?: ReadonlyMap<string, number>;
  readonly attached?: boolean;
  readonly uplinks?: readonly number[];
  readonly workloadPrefixes?: readonly string[];
  readonly denyAction?: DenyAction;
}): DesiredState {
  const {
    entries = [],
    classes = [],
    ready = [],
    ipcache = new Map(),
    attached = true,
    uplinks = [],
    workloadPrefixes = [],
    denyAction = 'drop',
  } = fields;
  const policy = fields.policy ?? direction(entries);
  const endpoint = {
    name: 'deathstar',
    ifindex: 7,
    addresses: ['10.0.0.1'],
    identity: identity(300),
    subject: star,
    denyAction,
  } as const;
  return {
    endpoints: attached ? [endpoint] : [],
    uplinks,
    workloadPrefixes,
    subjects: new Map([[star, subject(star, policy)]]),
    directions: new Map([[policy.id, policy]]),
    steps: new Map(),
    ipcache: new Map([...ipcache].map(([prefix, number]) => [prefix, identity(number)])),
    sets: new Map([landing, wider].map((set) => [set.id, set])),
    classes: new Map(classes.map((item) => [item.id, item])),
    ready: new Set(ready.map(({ id }) => id)),
  };
}

function setup(): {
  kernel: ReturnType<typeof fakeKernel>;
  store: ReturnType<typeof memoryStore>;
  open: () => ReturnType<typeof openRedirector>;
} {
  const kernel = fakeKernel();
  const store = memoryStore();
  return { kernel, store, open: () => openRedirector(kernel, store, PORTS) };
}

const l7 = entry({ verdict: { kind: 'l7', set: landing.id } });

describe('redirector', () => {
  it('puts the pair in place before the entry that leads to it, and switches last', () => {
    const { kernel, open } = setup();
    open().apply(desired({ entries: [l7], classes: [landingClass], ready: [landingClass] }));
    const order = [
      'set pairs',
      'set policyTables',
      'set policyPeers',
      'set ipcache',
      'set subjects',
      'set localAddresses',
      'set endpoints',
      'attach',
    ];
    const seen = order.map((effect) => kernel.effects.findIndex((line) => line.startsWith(effect)));
    assert.deepEqual(
      seen,
      [...seen].sort((left, right) => left - right),
      kernel.effects.join('\n'),
    );
    assert.ok(
      seen.every((at) => at >= 0),
      kernel.effects.join('\n'),
    );
  });

  it('shuts strangers off after everybody who is announced is known, once, and opens again in the other order', () => {
    const { kernel, open } = setup();
    const guarded = desired({ workloadPrefixes: ['10.0.0.0/24'] });
    const first = open();
    first.apply(guarded);
    const order = ['set localAddresses', 'set workloadPrefixes', 'guard on'];
    const seen = order.map((effect) => kernel.effects.findIndex((line) => line.startsWith(effect)));
    assert.ok(seen[0]! >= 0 && seen[0]! < seen[1]! && seen[1]! < seen[2]!, kernel.effects.join('\n'));
    const effectsOf = (redirector: ReturnType<typeof open>, wanted: DesiredState): readonly string[] => {
      kernel.effects.length = 0;
      redirector.apply(wanted);
      return kernel.effects.map((effect) => effect.split(' ', 2).join(' '));
    };
    assert.deepEqual(effectsOf(first, guarded), []);
    assert.deepEqual(effectsOf(open(), guarded), ['guard on'], 'another process puts its own program there');
    assert.deepEqual(effectsOf(open(), desired({})), ['guard off', 'delete workloadPrefixes']);
  });

  it('tells the kernel which workload answers what its policy refuses', () => {
    const { kernel, open } = setup();
    const redirector = open();
    redirector.apply(desired({}));
    kernel.effects.length = 0;
    redirector.apply(desired({ denyAction: 'reset' }));
    assert.equal(kernel.effects.length, 1);
    assert.match(kernel.effects[0]!, /^set localAddresses .*"denyAction":"reset"/);
  });

  it('writes nothing when nothing changed', () => {
    const { kernel, open } = setup();
    const redirector = open();
    redirector.apply(desired({ entries: [entry({})] }));
    kernel.effects.length = 0;
    assert.deepEqual(redirector.apply(desired({ entries: [entry({})] })).switched, []);
    assert.deepEqual(kernel.effects, []);
  });

  it('keeps the last version while a new class is not ready, and says which class it waits for', () => {
    const { kernel, open } = setup();
    const redirector = open();
    redirector.apply(desired({ entries: [entry({})] }));
    kernel.effects.length = 0;
    const waiting = redirector.apply(desired({ entries: [l7], classes: [landingClass] }));
    assert.deepEqual(waiting.held, [{ kind: 'waits-for-proxy', subject: star, classes: [landingClass.id] }]);
    assert.deepEqual(
      kernel.effects.filter((line) => /policy|subjects|pairs/.test(line)),
      [],
    );
    const ready = redirector.apply(
      desired({ entries: [l7], classes: [landingClass], ready: [landingClass] }),
    );
    assert.deepEqual([ready.held, ready.switched], [[], [star]]);
  });

  it('protects a new endpoint at once though its class is not ready: its L7 connections find no pair', () => {
    const { kernel, open } = setup();
    const report = open().apply(desired({ entries: [l7], classes: [landingClass] }));
    assert.deepEqual(report.held, []);
    assert.equal([...kernel.maps.policyTables.entries()].length, 1);
    assert.equal([...kernel.maps.pairs.entries()].length, 0);
    assert.ok(kernel.effects.includes('attach 7 workload'));
  });

  it('does not wait for a class that was ready before: its pair stands, and its port refuses', () => {
    const { open } = setup();
    const redirector = open();
    redirector.apply(desired({ entries: [l7], classes: [landingClass], ready: [landingClass] }));
    const report = redirector.apply(desired({ entries: [l7, entry({ port: 81 })], classes: [landingClass] }));
    assert.deepEqual([report.held, report.switched], [[], [star]]);
  });

  it('switches to a new generation and deletes the entries of the old one', () => {
    const { kernel, open } = setup();
    const redirector = open();
    redirector.apply(desired({ entries: [entry({})] }));
    const before = kernel.maps.subjects.get(subjectNumber(1));
    redirector.apply(desired({ entries: [entry({ port: 81 })] }));
    const after = kernel.maps.subjects.get(subjectNumber(1));
    assert.notEqual(after?.ingress, before?.ingress);
    assert.equal(after?.egress, openGeneration);
    assert.deepEqual(
      [...kernel.maps.policyPeers.entries()].map(([{ generation }]) => generation),
      [after?.ingress],
    );
    assert.deepEqual(
      [...kernel.maps.policyTables.entries()].map(([{ port }]) => port),
      [81],
    );
    const last = (effect: string) => kernel.effects.findLastIndex((line) => line.startsWith(effect));
    const order = [
      'set policyTables',
      'set policyPeers',
      'set subjects',
      'delete policyPeers',
      'delete policyTables',
    ];
    assert.deepEqual(
      order.map(last),
      order.map(last).sort((a, b) => a - b),
      kernel.effects.join('\n'),
    );
  });

  describe('sharing', () => {
    const falcon = subjectKey('falcon');
    /** Two subjects, each with one of these policies. */
    const two = (first: DirectionPolicy, second: DirectionPolicy, ipcache = new Map<string, number>()) => {
      const one = desired({ policy: first, ipcache });
      const [endpoint] = one.endpoints;
      assert.ok(endpoint);
      const other = { ...endpoint, name: 'falcon', ifindex: 8, addresses: ['10.0.0.2'], subject: falcon };
      return {
        ...one,
        endpoints: [endpoint, other],
        subjects: new Map([
          [star, subject(star, first)],
          [falcon, subject(falcon, second)],
        ]),
        directions: new Map([first, second].map((item) => [item.id, item])),
      };
    };
    const generations = (kernel: ReturnType<typeof fakeKernel>) =>
      [...kernel.maps.subjects.entries()].map(([, { ingress }]) => ingress);
    const peers = (kernel: ReturnType<typeof fakeKernel>) =>
      [...kernel.maps.policyPeers.entries()]
        .map(([{ identity: peer }]) => Number(peer))
        .sort((a, b) => a - b);

    it('writes one version for subjects of the same rules, and one table for equal peers', () => {
      const { kernel, open } = setup();
      const both = direction([400, 401].map((peer) => entry({ peer: identity(peer) })));
      open().apply(two(both, both));
      const [first, second] = generations(kernel);
      assert.equal(first, second);
      assert.deepEqual(peers(kernel), [400, 401]);
      assert.equal([...kernel.maps.policyTables.entries()].length, 1);
    });

    it('keeps the version while one of them still has it', () => {
      const { kernel, open } = setup();
      const redirector = open();
      const both = direction([entry({})]);
      redirector.apply(two(both, both));
      const [before] = generations(kernel);
      const other = direction([entry({ port: 81 })]);
      redirector.apply(two(both, other));
      const [first, second] = generations(kernel);
      assert.equal(first, before);
      assert.notEqual(second, before);
      redirector.apply(two(other, other));
      assert.deepEqual(generations(kernel), [second, second]);
      assert.equal([...kernel.maps.policyPeers.entries()].length, 1);
      assert.equal([...kernel.maps.policyTables.entries()].length, 1);
    });

    it('inserts who joins once for all of them, and takes away who left', () => {
      const { kernel, open } = setup();
      const redirector = open();
      const version = (...members: number[]) =>
        direction(
          members.map((peer) => entry({ peer: identity(peer) })),
          'app=web',
        );
      const first = version(400);
      redirector.apply(two(first, first));
      kernel.effects.length = 0;
      const second = version(400, 401);
      redirector.apply(two(second, second, new Map([['10.0.0.9/32', 401]])));
      assert.equal(kernel.effects.filter((line) => line.startsWith('set policyPeers')).length, 1);
      assert.ok(!kernel.effects.some((line) => /^set (subjects|policyTables)/.test(line)));
      assert.deepEqual(peers(kernel), [400, 401]);
      kernel.effects.length = 0;
      redirector.apply(two(first, first));
      assert.deepEqual(peers(kernel), [400]);
      const gone = kernel.effects.findIndex((line) => line.startsWith('delete ipcache'));
      const removed = kernel.effects.findIndex((line) => line.startsWith('delete policyPeers'));
      assert.ok(gone >= 0 && gone < removed, kernel.effects.join('\n'));
      assert.ok(!kernel.effects.some((line) => line.startsWith('set subjects')));
    });

    it('is found again by another process, which writes nothing', () => {
      const { kernel, open } = setup();
      const make = () => direction([entry({ peer: identity(400) }), entry({ port: 81 })]);
      const before = make();
      open().apply(two(before, before));
      kernel.effects.length = 0;
      const redirector = open();
      const after = make();
      redirector.apply(two(after, after));
      assert.deepEqual(kernel.effects, []);
      // And one of them can still go its own way.
      redirector.apply(two(after, direction([])));
      assert.equal(new Set(generations(kernel)).size, 2);
    });

    it('parts subjects that only looked alike to an earlier process', () => {
      const { kernel, open } = setup();
      const before = direction([entry({ peer: identity(400) })]);
      open().apply(two(before, before));
      const now = (rules: string) => direction([entry({ peer: identity(400) })], rules);
      open().apply(two(now('app=web'), now('app in (web, api)')));
      assert.equal(new Set(generations(kernel)).size, 2);
    });
  });

  it('inserts an identity that joins in place, without a new generation', () => {
    const { kernel, open } = setup();
    const redirector = open();
    const of = (...peers: number[]) =>
      direction(
        peers.map((peer) => entry({ peer: identity(peer) })),
        'rules',
      );
    redirector.apply(desired({ policy: of(400) }));
    kernel.effects.length = 0;
    redirector.apply(desired({ policy: of(400, 401), ipcache: new Map([['10.0.0.9/32', 401]]) }));
    assert.deepEqual(
      kernel.effects.filter((line) => line.startsWith('set subjects')),
      [],
    );
    assert.equal([...kernel.maps.policyPeers.entries()].length, 2);
    const inserted = kernel.effects.findIndex((line) => line.startsWith('set policyPeers'));
    const announced = kernel.effects.findIndex((line) => line.startsWith('set ipcache'));
    assert.ok(inserted >= 0 && inserted < announced, kernel.effects.join('\n'));
  });

  it('needs only the steps from one version to the next, where they are known', () => {
    const { kernel, open } = setup();
    const redirector = open();
    const before = direction([entry({ peer: identity(400) })], 'rules');
    const first = desired({ policy: before });
    redirector.apply(first);
    const after: DirectionPolicy = {
      ...before,
      forEachPeer: () => {
        throw new Error('the whole policy was read');
      },
    };
    const moved = [{ peer: identity(401), before: null, after: table([entry({})]) }];
    redirector.apply({
      ...first,
      directions: new Map([[after.id, after]]),
      steps: new Map([[after.id, [{ before, after, moved }]]]),
      ipcache: new Map([['10.0.0.9/32', identity(401)]]),
    });
    assert.deepEqual(
      [...kernel.maps.policyPeers.entries()].map(([key]) => Number(key.identity)),
      [400, 401],
    );
  });

  it('does not insert in place for an identity that already has an address', () => {
    const { kernel, open } = setup();
    const redirector = open();
    const ipcache = new Map([['10.0.0.9/32', 401]]);
    redirector.apply(desired({ policy: direction([], 'rules'), ipcache }));
    kernel.effects.length = 0;
    const denied = direction([entry({ peer: identity(401), verdict: { kind: 'deny' } })], 'rules');
    redirector.apply(desired({ policy: denied, ipcache }));
    assert.equal(kernel.effects.filter((line) => line.startsWith('set subjects')).length, 1);
  });

  it('bumps the epoch when an address comes to resolve differently', () => {
    const { kernel, open } = setup();
    const redirector = open();
    redirector.apply(desired({ entries: [], ipcache: new Map([['10.0.0.9/32', 401]]) }));
    kernel.effects.length = 0;
    redirector.apply(desired({ entries: [], ipcache: new Map([['10.0.0.9/32', 402]]) }));
    assert.equal(kernel.effects.at(-1), 'epoch');
    kernel.effects.length = 0;
    redirector.apply(desired({ entries: [], ipcache: new Map() }));
    assert.deepEqual(kernel.effects.at(-1), 'epoch');
  });

  for (const map of ['policyPeers', 'policyTables']) {
    it(`leaves everything as it was for a subject whose entries ${map} refuses`, () => {
      const { kernel, open } = setup();
      const redirector = open();
      const held = () =>
        JSON.stringify([...kernel.maps.policyPeers.entries(), ...kernel.maps.policyTables.entries()]);
      redirector.apply(desired({ entries: [entry({})] }));
      const before = held();
      kernel.failNext(map);
      const report = redirector.apply(desired({ entries: [entry({ port: 81 })] }));
      assert.deepEqual(
        report.held.map(({ kind }) => kind),
        ['refused-by-kernel'],
      );
      assert.equal(held(), before);
      assert.deepEqual(redirector.apply(desired({ entries: [entry({ port: 81 })] })).switched, [star]);
    });
  }

  it('says how full the policy maps are, and refuses what does not fit before anything is written', () => {
    const { kernel, open } = setup();
    const redirector = open();
    const of = (count: number) =>
      direction(
        Array.from({ length: count }, (_, at) => entry({ peer: identity(1_000 + at) })),
        'rules',
      );
    redirector.apply(desired({ policy: of(600) }));
    assert.deepEqual(redirector.usage(), [
      { map: 'policyPeers', entries: 600, maxEntries: 1_000 },
      { map: 'policyTables', entries: 1, maxEntries: 1_000 },
    ]);
    kernel.effects.length = 0;
    // Identity 1,600 may not come to bear an address while a version in force knows nothing of it.
    const ipcache = new Map([['10.0.0.9/32', 1_600]]);
    const report = redirector.apply(desired({ policy: of(1_100), ipcache }));
    assert.deepEqual(kernel.effects, []);
    assert.match(
      String(report.held.map((item) => (item.kind === 'refused-by-kernel' ? item.error : item.kind))),
      /policyPeers is full: it holds 600 of 1000 entries and the update needs 500 more; what was in force stays/,
    );
    redirector.apply(desired({ policy: of(601), ipcache }));
    assert.equal([...kernel.maps.ipcache.entries()].length, 2);
    assert.equal(redirector.usage()[0]?.entries, 601);
  });

  it('takes over what an earlier process wrote and changes none of it', () => {
    const { kernel, open } = setup();
    const state = desired({ entries: [l7], classes: [landingClass], ready: [landingClass] });
    const port = (() => {
      const first = open();
      first.apply(state);
      return first.portOf(landingClass.id);
    })();
    kernel.effects.length = 0;
    const second = open();
    second.apply({ ...state, ready: new Set() });
    assert.deepEqual(kernel.effects, []);
    assert.equal(second.portOf(landingClass.id), port);
  });

  it('rewrites everything when the store was lost, without giving a generation twice', () => {
    const { kernel, open } = setup();
    open().apply(desired({ entries: [entry({})] }));
    const before = [...kernel.maps.subjects.entries()].map(([, { ingress }]) => ingress);
    const second = openRedirector(kernel, memoryStore(), PORTS);
    second.apply(desired({ entries: [entry({})] }));
    const after = [...kernel.maps.subjects.entries()].map(([, { ingress }]) => ingress);
    assert.equal(after.length, 1);
    assert.ok(!before.includes(after[0]!), `${before} ${after}`);
    assert.equal([...kernel.maps.policyPeers.entries()].length, 1);
  });

  it('tells the kernel which sets permit at least as much as others', () => {
    const { kernel, open } = setup();
    open().apply(desired({ entries: [] }));
    assert.equal([...kernel.maps.widenings.entries()].length, 1);
    const [found] = [...kernel.maps.widenings.entries()];
    assert.notEqual(found?.[0].from, found?.[0].to);
  });

  it('keeps a class that is no longer wanted until its last connection has ended', () => {
    const { kernel, open } = setup();
    const redirector = open();
    redirector.apply(desired({ entries: [l7], classes: [landingClass], ready: [landingClass] }));
    const port = redirector.portOf(landingClass.id);
    const end = {
      address: ipAddress('10.0.0.9'),
      port: 1,
      identity: hostIdentity,
      subject: subjectNumber(0),
      generation: 0,
      set: noSet,
    };
    kernel.tracked.push({
      protocol: 6,
      source: end,
      destination: { ...end, port: 80 },
      proxyPort: proxyPort(port),
      ipcacheEpoch: 0,
      lastSeenNs: 0n,
    } as Connection);
    redirector.apply(desired({ entries: [entry({})] }));
    assert.equal([...kernel.maps.pairs.entries()].length, 0);
    assert.deepEqual(redirector.drained(), []);
    kernel.tracked.length = 0;
    assert.deepEqual(redirector.drained(), [landingClass.id]);
    redirector.release(landingClass.id);
    assert.deepEqual(redirector.drained(), []);
  });

  it('says what is used up when there are more classes than ports', () => {
    const { open } = setup();
    const classes = [...'abcd'].map((name): L7Class => ({ ...widerClass, id: classId(name) }));
    assert.throws(
      () => open().apply(desired({ entries: [], classes })),
      /no proxy port is free: all of 14000 to 14002 are in use/,
    );
  });

  it('passes over ports that somebody else listens on', () => {
    const kernel = fakeKernel();
    const redirector = openRedirector(kernel, memoryStore(), {
      ...PORTS,
      isTaken: (port) => port === 14_000,
    });
    redirector.apply(desired({ entries: [], classes: [landingClass] }));
    assert.equal(redirector.portOf(landingClass.id), 14_001);
  });

  it('puts the programs for proxied connections on interfaces to the world, and takes them off again', () => {
    const { kernel, open } = setup();
    const redirector = open();
    redirector.apply(desired({ entries: [entry({})], uplinks: [3] }));
    assert.deepEqual(
      kernel.effects.filter((line) => /tach/.test(line)),
      ['attach 3 network', 'attach 7 workload'],
    );
    kernel.effects.length = 0;
    redirector.apply(desired({ entries: [entry({})], uplinks: [3] }));
    assert.deepEqual(kernel.effects, []);
    redirector.apply(desired({ entries: [entry({})] }));
    assert.deepEqual(kernel.effects, ['detach 3']);
  });

  it('takes the programs off an endpoint that is gone, and forgets its subject', () => {
    const { kernel, open } = setup();
    const redirector = open();
    redirector.apply(desired({ entries: [entry({})] }));
    redirector.apply(desired({ entries: [entry({})], attached: false }));
    assert.ok(kernel.effects.includes('detach 7'));
    for (const map of [
      kernel.maps.endpoints,
      kernel.maps.localAddresses,
      kernel.maps.subjects,
      kernel.maps.policyPeers,
      kernel.maps.policyTables,
    ]) {
      assert.deepEqual([...map.entries()], [], map.name);
    }
  });
});
