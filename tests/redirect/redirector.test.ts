import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { type Connection, hostIdentity, ipAddress, noSet, proxyPort, subjectNumber } from '@weir/bpf';
import {
  anyIdentity,
  classId,
  identity,
  type L7Class,
  type L7Set,
  l7SetId,
  type PolicyMapEntry,
  type SlotId,
  type SubjectPolicy,
  subjectKey,
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

function entry(fields: Partial<PolicyMapEntry>): PolicyMapEntry {
  const any = {
    direction: 'ingress',
    identity: anyIdentity,
    protocol: 6,
    port: 80,
    portPrefixLength: 16,
  } as const;
  return { ...any, verdict: { kind: 'allow' }, ...fields };
}

function policy(entries: readonly PolicyMapEntry[]): SubjectPolicy {
  return { key: star, identity: identity(300), enforced: { ingress: true, egress: false }, entries };
}

function desired(fields: {
  readonly entries: readonly PolicyMapEntry[];
  readonly classes?: readonly L7Class[];
  readonly ready?: readonly L7Class[];
  readonly ipcache?: ReadonlyMap<string, number>;
  readonly attached?: boolean;
  readonly uplinks?: readonly number[];
}): DesiredState {
  const { entries, classes = [], ready = [], ipcache = new Map(), attached = true, uplinks = [] } = fields;
  const endpoint = {
    name: 'deathstar',
    ifindex: 7,
    addresses: ['10.0.0.1'],
    identity: identity(300),
    subject: star,
  };
  return {
    endpoints: attached ? [endpoint] : [],
    uplinks,
    subjects: new Map([[star, policy(entries)]]),
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
      'set policy',
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
    assert.equal([...kernel.maps.policy.entries()].length, 1);
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
    assert.notEqual(after?.generation, before?.generation);
    const held = [...kernel.maps.policy.entries()].map(([key]) => [key.generation, key.port]);
    assert.deepEqual(held, [[after?.generation, 81]]);
    const switched = kernel.effects.findLastIndex((line) => line.startsWith('set subjects'));
    const deleted = kernel.effects.findLastIndex((line) => line.startsWith('delete policy'));
    assert.ok(switched < deleted, kernel.effects.join('\n'));
  });

  it('inserts an identity that joins in place, without a new generation', () => {
    const { kernel, open } = setup();
    const redirector = open();
    redirector.apply(desired({ entries: [entry({ identity: identity(400) })] }));
    kernel.effects.length = 0;
    redirector.apply(
      desired({
        entries: [entry({ identity: identity(400) }), entry({ identity: identity(401) })],
        ipcache: new Map([['10.0.0.9/32', 401]]),
      }),
    );
    assert.deepEqual(
      kernel.effects.filter((line) => line.startsWith('set subjects')),
      [],
    );
    assert.equal([...kernel.maps.policy.entries()].length, 2);
    const inserted = kernel.effects.findIndex((line) => line.startsWith('set policy'));
    const announced = kernel.effects.findIndex((line) => line.startsWith('set ipcache'));
    assert.ok(inserted >= 0 && inserted < announced, kernel.effects.join('\n'));
  });

  it('needs only the steps from one version to the next, where they are known', () => {
    const { kernel, open } = setup();
    const redirector = open();
    const first = desired({ entries: [entry({ identity: identity(400) })] });
    redirector.apply(first);
    const before = first.subjects.get(star);
    assert.ok(before);
    const after: SubjectPolicy = {
      ...policy([]),
      get entries(): readonly PolicyMapEntry[] {
        throw new Error('the whole policy was read');
      },
    };
    const added = [entry({ identity: identity(401) })];
    const report = redirector.apply({
      ...first,
      subjects: new Map([[star, after]]),
      steps: new Map([[star, [{ before, after, added, removed: [] }]]]),
      ipcache: new Map([['10.0.0.9/32', identity(401)]]),
    });
    assert.deepEqual(report.switched, [star]);
    assert.deepEqual(
      [...kernel.maps.policy.entries()].map(([key]) => Number(key.identity)),
      [400, 401],
    );
  });

  it('does not insert in place for an identity that already has an address', () => {
    const { kernel, open } = setup();
    const redirector = open();
    const ipcache = new Map([['10.0.0.9/32', 401]]);
    redirector.apply(desired({ entries: [], ipcache }));
    kernel.effects.length = 0;
    redirector.apply(
      desired({ entries: [entry({ identity: identity(401), verdict: { kind: 'deny' } })], ipcache }),
    );
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

  it('leaves everything as it was for a subject whose entries the kernel refuses', () => {
    const { kernel, open } = setup();
    const redirector = open();
    redirector.apply(desired({ entries: [entry({})] }));
    const before = JSON.stringify([...kernel.maps.policy.entries()]);
    kernel.failNext('policy');
    const report = redirector.apply(desired({ entries: [entry({ port: 81 })] }));
    assert.deepEqual(
      report.held.map(({ kind }) => kind),
      ['refused-by-kernel'],
    );
    assert.equal(JSON.stringify([...kernel.maps.policy.entries()]), before);
    assert.deepEqual(redirector.apply(desired({ entries: [entry({ port: 81 })] })).switched, [star]);
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
    const before = [...kernel.maps.subjects.entries()].map(([, { generation }]) => generation);
    const second = openRedirector(kernel, memoryStore(), PORTS);
    second.apply(desired({ entries: [entry({})] }));
    const after = [...kernel.maps.subjects.entries()].map(([, { generation }]) => generation);
    assert.equal(after.length, 1);
    assert.ok(!before.includes(after[0]!), `${before} ${after}`);
    assert.equal([...kernel.maps.policy.entries()].length, 1);
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
      kernel.maps.policy,
    ]) {
      assert.deepEqual([...map.entries()], [], map.name);
    }
  });
});
