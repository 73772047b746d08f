/** Properties of the engine on documents and facts of every kind (wide-policies.ts). */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import {
  createEngine,
  createPatternMatcher,
  type Engine,
  type EngineChange,
  type Flow,
  judgeRequest,
  type PortTable,
} from '@weir/l7-policy';
import fc from 'fast-check';
import {
  farAddress,
  setWide,
  type WideDocument,
  wideAddition,
  wideDocument,
  wideFact,
  wideFlows,
  wideWorld,
} from './wide-policies.ts';

const runs = Number(process.env['WEIR_PROPERTY_RUNS'] ?? '60');
const documents = fc.uniqueArray(wideDocument, { minLength: 1, maxLength: 5, selector: ({ name }) => name });
const patterns = createPatternMatcher();

function build(changes: readonly EngineChange[]): Engine {
  const engine = createEngine({ identityLabels: [], nodeSelectorLabels: true });
  const { problems } = engine.apply(changes);
  assert.deepEqual(
    problems.filter(({ severity }) => severity === 'error'),
    [],
  );
  return engine;
}

function verdicts(engine: Engine): ReadonlyMap<string, 'allowed' | 'denied' | 'redirected'> {
  return new Map([...wideFlows()].map((flow) => [JSON.stringify(flow), engine.explain(flow).verdict]));
}

const rank = { denied: 0, redirected: 1, allowed: 2 } as const;

test('the order of documents changes no verdict, in one file or in many', () => {
  fc.assert(
    fc.property(documents, wideWorld, fc.infiniteStream(fc.nat()), (docs, world, order) => {
      const shuffled = docs
        .map((doc) => ({ doc, at: order.next().value ?? 0 }))
        .sort((a, b) => a.at - b.at)
        .map(({ doc }) => doc);
      const expected = verdicts(build([...world, ...docs.map(setWide)]));
      assert.deepEqual(verdicts(build([...shuffled.map(setWide), ...world])), expected);
      const text = shuffled.map(({ value }) => JSON.stringify(value)).join('\n---\n');
      assert.deepEqual(verdicts(build([...world, { kind: 'set-file', file: 'all.yaml', text }])), expected);
    }),
    { numRuns: runs },
  );
});

for (const deny of [true, false]) {
  test(deny ? 'adding a deny never allows more' : 'adding an allow never denies more', () => {
    fc.assert(
      fc.property(documents, wideWorld, wideAddition(deny), (docs, world, more) => {
        const engine = build([...world, ...docs.map(setWide)]);
        const before = verdicts(engine);
        engine.apply([setWide(more)]);
        for (const [flow, verdict] of verdicts(engine)) {
          const old = before.get(flow) ?? 'denied';
          const change = rank[verdict] - rank[old];
          assert.ok(deny ? change <= 0 : change >= 0, `${flow}: ${old} became ${verdict}`);
        }
      }),
      { numRuns: runs },
    );
  });
}

type Step =
  | { readonly kind: 'set'; readonly document: WideDocument }
  | { readonly kind: 'drop'; readonly document: WideDocument }
  | { readonly kind: 'fact'; readonly change: EngineChange };

const step: fc.Arbitrary<Step> = fc.oneof(
  { weight: 3, arbitrary: wideDocument.map((document): Step => ({ kind: 'set', document })) },
  { weight: 1, arbitrary: wideDocument.map((document): Step => ({ kind: 'drop', document })) },
  { weight: 4, arbitrary: wideFact.map((change): Step => ({ kind: 'fact', change })) },
);

test('updates of every kind end where a fresh computation does', () => {
  const batches = fc.array(fc.array(step, { minLength: 1, maxLength: 3 }), { maxLength: 10 });
  fc.assert(
    fc.property(wideWorld, batches, (world, updates) => {
      const engine = build(world);
      const latest = new Map(world.map((change) => [keyOf(change), change]));
      for (const update of updates) {
        const changes = update.map(changeOf);
        engine.apply(changes);
        for (const change of changes) {
          latest.delete(keyOf(change));
          latest.set(keyOf(change), change);
        }
      }
      assert.deepEqual(verdicts(engine), verdicts(build([...latest.values()])));
    }),
    { numRuns: runs },
  );
});

function changeOf(value: Step): EngineChange {
  if (value.kind === 'fact') return value.change;
  const set = setWide(value.document);
  return value.kind === 'set' || set.kind !== 'set-file' ? set : { kind: 'remove-file', file: set.file };
}

/** What a change is about: the last one of it counts. */
function keyOf(change: EngineChange): string {
  switch (change.kind) {
    case 'set-file':
    case 'remove-file':
      return change.file;
    case 'set-endpoint':
      return change.endpoint.id;
    case 'set-service':
      return `service ${change.service.name}`;
    case 'set-dns':
      return change.name;
    default:
      return change.kind;
  }
}

test('explain says what the published tables, sets and slots say', () => {
  fc.assert(
    fc.property(documents, wideWorld, (docs, world) => {
      const engine = build([...world, ...docs.map(setWide)]);
      for (const flow of wideFlows()) {
        const { verdict, summary } = engine.explain(flow);
        assert.equal(verdict, published(engine, flow), `${JSON.stringify(flow)}: ${summary}`);
      }
    }),
    { numRuns: runs },
  );
});

/** The verdict of one direction from what the engine publishes, as the kernel and the proxy read it. */
function published(engine: Engine, flow: Flow): 'allowed' | 'denied' | 'redirected' {
  const { subjects, directions, endpoints, sets, slots } = engine.state();
  const [own, other] = flow.direction === 'egress' ? [flow.from, flow.to] : [flow.to, flow.from];
  const endpoint = own.kind === 'endpoint' ? endpoints.get(own.id) : undefined;
  const subject = endpoint?.subject === null ? undefined : subjects.get(endpoint!.subject);
  const id = subject?.[flow.direction!] ?? null;
  if (id === null) return 'allowed';
  // A workload of another node is known by its address alone.
  const known = other.kind === 'endpoint' ? endpoints.get(other.id) : undefined;
  const peer = known?.identity ?? identityOf(engine, other.kind === 'address' ? other.address : farAddress);
  const verdict = lookUp(directions.get(id)!.tableOf(peer), flow.protocol, flow.port);
  if (verdict === null || verdict.kind === 'deny') return 'denied';
  if (verdict.kind === 'allow') return 'allowed';
  if (flow.request === null) return 'redirected';
  const set = sets.get(verdict.set)!;
  const rules = set.slots.map((slot) => slots.get(slot)!);
  return judgeRequest(set, rules, flow.request, patterns).allowed ? 'allowed' : 'denied';
}

function identityOf(engine: Engine, address: string) {
  const { ipcache } = engine.state();
  const inside = (prefix: string) =>
    prefix === `${address}/32` || prefix === `${address}/128` || covers(prefix, address);
  const [best] = [...ipcache]
    .filter(([prefix]) => inside(prefix))
    .sort(([a], [b]) => Number(b.split('/')[1]) - Number(a.split('/')[1]));
  return best![1];
}

function covers(prefix: string, address: string): boolean {
  const [base = '', length = '0'] = prefix.split('/');
  const [a, b] = [bits(base), bits(address)];
  return a.length === b.length && a.slice(0, Number(length)) === b.slice(0, Number(length));
}

function bits(address: string): string {
  if (address.includes('.')) {
    return address
      .split('.')
      .map((part) => Number(part).toString(2).padStart(8, '0'))
      .join('');
  }
  const [head = '', tail = ''] = address.split('::');
  const left = head === '' ? [] : head.split(':');
  const right = tail === '' ? [] : tail.split(':');
  const middle = address.includes('::') ? Array(8 - left.length - right.length).fill('0') : [];
  return [...left, ...middle, ...right]
    .map((part) => Number.parseInt(part, 16).toString(2).padStart(16, '0'))
    .join('');
}

function lookUp({ entries }: PortTable, protocol: number, port: number) {
  const [best] = entries
    .filter((entry) => {
      if (entry.protocol === 0) return true;
      const ignored = 16 - entry.portPrefixLength;
      return entry.protocol === protocol && entry.port >> ignored === port >> ignored;
    })
    .sort((a, b) => lengthOf(b) - lengthOf(a));
  return best?.verdict ?? null;
}

function lengthOf({ protocol, portPrefixLength }: PortTable['entries'][number]): number {
  return protocol === 0 ? -1 : portPrefixLength;
}
