import assert from 'node:assert/strict';
import { test } from 'node:test';
import {
  createEngine,
  type DirectionPolicy,
  type Engine,
  type EngineChange,
  type EngineState,
  type EngineUpdate,
  type Identity,
  type SubjectPolicy,
} from '@weir/l7-policy';
import fc from 'fast-check';
import { endpoints, fileOf, flowOf, policies, probesOf, setEndpoint, setFile } from './model-world.ts';
import {
  addition,
  endpoint,
  type ModelEndpoint,
  type ModelPolicy,
  modelVerdict,
  policy,
} from './policy-model.ts';

const runs = Number(process.env['WEIR_PROPERTY_RUNS'] ?? '60');

function build(docs: readonly ModelPolicy[], pods: readonly ModelEndpoint[]): Engine {
  const engine = createEngine();
  const { problems } = engine.apply([...pods.map(setEndpoint), ...docs.map(setFile)]);
  assert.deepEqual(
    problems.filter((problem) => problem.severity === 'error'),
    [],
  );
  return engine;
}

type Verdicts = ReadonlyMap<string, 'allowed' | 'denied' | 'redirected'>;

function verdicts(engine: Engine, pods: readonly ModelEndpoint[]): Verdicts {
  const found = new Map<string, 'allowed' | 'denied' | 'redirected'>();
  for (const pod of pods) {
    for (const direction of ['ingress', 'egress'] as const) {
      for (const probe of probesOf(pods)) {
        const flow = flowOf(pod, direction, probe);
        found.set(JSON.stringify(flow), engine.explain(flow).verdict);
      }
    }
  }
  return found;
}

/** Redirected counts as between: what the proxy lets through is probed with requests of its own. */
const rank = { denied: 0, redirected: 1, allowed: 2 } as const;

test('the compiled policy agrees with reading the rules one by one', () => {
  fc.assert(
    fc.property(policies, endpoints, (docs, pods) => {
      const engine = build(docs, pods);
      for (const pod of pods) {
        for (const direction of ['ingress', 'egress'] as const) {
          for (const probe of probesOf(pods)) {
            const expected = modelVerdict(docs, pod, direction, probe);
            const flow = flowOf(pod, direction, probe);
            const explanation = engine.explain(flow);
            assert.equal(explanation.verdict, expected, `${JSON.stringify(flow)}: ${explanation.summary}`);
          }
        }
      }
    }),
    { numRuns: runs },
  );
});

test('the order of documents changes no verdict', () => {
  fc.assert(
    fc.property(policies, endpoints, fc.infiniteStream(fc.nat()), (docs, pods, order) => {
      const shuffled = docs
        .map((doc) => ({ doc, at: order.next().value ?? 0 }))
        .sort((a, b) => a.at - b.at)
        .map(({ doc }) => doc);
      assert.deepEqual(verdicts(build(shuffled, pods), pods), verdicts(build(docs, pods), pods));
    }),
    { numRuns: Math.ceil(runs / 3) },
  );
});

for (const deny of [true, false]) {
  test(deny ? 'adding a deny never allows more' : 'adding an allow never denies more', () => {
    fc.assert(
      fc.property(policies, endpoints, addition(deny), (docs, pods, more) => {
        const engine = build(docs, pods);
        const before = verdicts(engine, pods);
        engine.apply([setFile(more)]);
        for (const [flow, verdict] of verdicts(engine, pods)) {
          const old = before.get(flow) ?? 'denied';
          const change = rank[verdict] - rank[old];
          assert.ok(deny ? change <= 0 : change >= 0, `${flow}: ${old} became ${verdict}`);
        }
      }),
      { numRuns: Math.ceil(runs / 3) },
    );
  });
}

type Step =
  | { readonly kind: 'policy'; readonly value: ModelPolicy }
  | { readonly kind: 'drop'; readonly value: ModelPolicy }
  | { readonly kind: 'endpoint'; readonly value: ModelEndpoint }
  | { readonly kind: 'leave'; readonly value: ModelEndpoint };

const step: fc.Arbitrary<Step> = fc.oneof(
  { weight: 4, arbitrary: policy.map((value): Step => ({ kind: 'policy', value })) },
  { weight: 2, arbitrary: policy.map((value): Step => ({ kind: 'drop', value })) },
  { weight: 4, arbitrary: endpoint.map((value): Step => ({ kind: 'endpoint', value })) },
  { weight: 1, arbitrary: endpoint.map((value): Step => ({ kind: 'leave', value })) },
);

function change(value: Step): EngineChange {
  switch (value.kind) {
    case 'policy':
      return setFile(value.value);
    case 'drop':
      return { kind: 'remove-file', file: fileOf(value.value) };
    case 'endpoint':
      return setEndpoint(value.value);
    case 'leave':
      return { kind: 'remove-endpoint', id: value.value.id };
  }
}

test('incremental updates end where a fresh computation does, and their deltas lead there', () => {
  fc.assert(
    fc.property(fc.array(fc.array(step, { minLength: 1, maxLength: 3 }), { maxLength: 12 }), (batches) => {
      const engine = createEngine();
      const mirror = createMirror();
      const latest = new Map<string, EngineChange>();
      for (const batch of batches) {
        const changes = batch.map(change);
        mirror.apply(engine.apply(changes));
        assert.deepEqual(mirror.values(), stateValues(engine.state()));
        for (const item of changes) {
          const key =
            'file' in item
              ? item.file
              : item.kind === 'set-endpoint'
                ? item.endpoint.id
                : 'id' in item
                  ? item.id
                  : '';
          latest.delete(key);
          latest.set(key, item);
        }
      }
      const fresh = createEngine();
      fresh.apply([...latest.values()]);
      // Numbers are the allocator's affair: compare by labels.
      assert.deepEqual(byLabels(engine), byLabels(fresh));
    }),
    { numRuns: runs },
  );
});

/** What somebody who only sees deltas knows. */
function createMirror() {
  const subjects = new Map<string, SubjectPolicy>();
  const directions = new Map<string, Map<number, string>>();
  const slots = new Map<string, string>();
  const sets = new Set<string>();
  const classes = new Set<string>();
  const addresses = new Map<string, number>();
  const endpointStates = new Map<string, unknown>();
  return {
    apply({ delta }: EngineUpdate) {
      for (const key of delta.subjects.removed) assert.ok(subjects.delete(key));
      for (const added of delta.subjects.added) {
        assert.ok(!subjects.has(added.key));
        subjects.set(added.key, added);
      }
      for (const changed of delta.subjects.changed) {
        assert.notDeepEqual(subjects.get(changed.key), changed);
        subjects.set(changed.key, changed);
      }
      for (const id of delta.directions.removed) assert.ok(directions.delete(id));
      for (const added of delta.directions.added) {
        assert.ok(!directions.has(added.id));
        directions.set(added.id, new Map([[0, added.any.id], ...peerTables(added)]));
      }
      for (const { before, after, moved } of delta.directions.changed) {
        assert.equal(before.id, after.id);
        assert.ok(moved.length > 0);
        const tables = directions.get(after.id)!;
        for (const { peer, before: old, after: now } of moved) {
          assert.notEqual(old?.id, now?.id);
          assert.equal(tables.get(peer), old?.id);
          if (now === null) tables.delete(peer);
          else tables.set(peer, now.id);
        }
      }
      for (const id of delta.slots.removed) assert.ok(slots.delete(id));
      for (const slot of delta.slots.added) {
        assert.ok(!slots.has(slot.id));
        slots.set(slot.id, slot.digest);
      }
      for (const slot of delta.slots.changed) {
        assert.notEqual(slots.get(slot.id), slot.digest);
        slots.set(slot.id, slot.digest);
      }
      for (const id of delta.sets.removed) assert.ok(sets.delete(id));
      for (const set of delta.sets.added) sets.add(set.id);
      for (const id of delta.classes.removed) assert.ok(classes.delete(id));
      for (const value of delta.classes.added) classes.add(value.id);
      for (const prefix of delta.ipcache.removed) assert.ok(addresses.delete(prefix));
      for (const [prefix, number] of delta.ipcache.set) addresses.set(prefix, number);
      for (const id of delta.endpoints.removed) assert.ok(endpointStates.delete(id));
      for (const state of delta.endpoints.set) endpointStates.set(state.id, state);
    },
    values: () => ({
      subjects: sorted(subjects, (policy) => policy),
      directions: sorted(directions, (tables) => [...tables].sort(byPeer)),
      slots: sorted(slots, (digest) => digest),
      sets: [...sets].sort(),
      classes: [...classes].sort(),
      // The engine's first update, before any delta is seen, holds the world.
      addresses: sorted(addresses, (number) => number),
      endpoints: sorted(endpointStates, (state) => state),
    }),
  };
}

function peerTables(direction: DirectionPolicy): readonly (readonly [number, string])[] {
  const tables: (readonly [number, string])[] = [];
  direction.forEachPeer((peer, table) => {
    assert.equal(direction.tableOf(peer), table);
    // Who is treated as any peer needs no entry.
    assert.notEqual(table.id, direction.any.id);
    tables.push([peer, table.id]);
  });
  return tables;
}

function byPeer([a]: readonly [number, string], [b]: readonly [number, string]): number {
  return a - b;
}

function sorted<Value, Result>(
  map: ReadonlyMap<string, Value>,
  value: (item: Value) => Result,
): [string, Result][] {
  return [...map]
    .map(([key, item]): [string, Result] => [key, value(item)])
    .sort(([a], [b]) => (a < b ? -1 : 1));
}

function stateValues(state: EngineState) {
  return {
    subjects: sorted(state.subjects, (item) => item),
    directions: sorted(state.directions, (item) =>
      [[0, item.any.id] as const, ...peerTables(item)].sort(byPeer),
    ),
    slots: sorted(state.slots, (slot) => slot.digest),
    sets: [...state.sets.keys()].sort(),
    classes: [...state.classes.keys()].sort(),
    addresses: sorted(state.ipcache, (number) => number).filter(([prefix]) => !prefix.endsWith('/0')),
    endpoints: sorted(state.endpoints, (item) => item),
  };
}

/** The state with labels in the place of numbers. */
function byLabels(engine: Engine) {
  const state = engine.state();
  const name = (number: Parameters<Engine['labelsOf']>[0]) =>
    number === 0 ? 'any' : (engine.labelsOf(number)?.join(',') ?? `unknown ${number}`);
  return {
    subjects: [...state.subjects.values()]
      .map(({ identity, ingress, egress }) => JSON.stringify([name(identity), ingress, egress]))
      .sort(),
    directions: sorted(state.directions, (item) => ({
      any: item.any.entries,
      peers: peerTables(item)
        .map(([peer, id]) => `${name(peer as Identity)}: ${id}`)
        .sort(),
    })),
    endpoints: sorted(state.endpoints, ({ identity }) => name(identity)),
    addresses: sorted(state.ipcache, name),
    slots: sorted(state.slots, (slot) => slot.digest),
    sets: [...state.sets.keys()].sort(),
    classes: [...state.classes.keys()].sort(),
  };
}
