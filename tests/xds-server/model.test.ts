// Random updates, subscriptions, answers, reconnects and nonsense against a model of the clients.
import assert from 'node:assert/strict';
import { suite, test } from 'node:test';
import {
  createXdsServer,
  encodedResource,
  type ResourceRef,
  resourceType,
  typeUrls,
  type Variant,
} from '@weir/xds-server';
import fc from 'fast-check';
import { manualClock } from './manual-clock.ts';
import { type Response, type SimulatedClient, simulatedClient } from './simulated-client.ts';

const types = [
  typeUrls.cluster,
  typeUrls.endpoint,
  typeUrls.listener,
  typeUrls.route,
  typeUrls.secret,
] as const;
const names = ['a', 'b', 'c', 'd', 'e', 'f'];
const clientCount = 3;
const { XDS_MODEL_RUNS: runsWanted = '400' } = process.env;
const runs = Number(runsWanted);

type Type = (typeof types)[number];
type Op =
  | { readonly kind: 'update'; readonly changes: readonly Change[] }
  | {
      readonly kind: 'subscribe' | 'unsubscribe';
      readonly client: number;
      readonly type: Type;
      readonly names: readonly string[];
    }
  | { readonly kind: 'answer'; readonly client: number }
  | { readonly kind: 'stale' | 'repeat' | 'reconnect'; readonly client: number };

interface Change {
  readonly type: Type;
  readonly name: string;
  readonly layer: 'shared' | 'own';
  /** Null removes; a text with "poison" is refused by every client. */
  readonly text: string | null;
}

const client = fc.nat({ max: clientCount - 1 });
const change: fc.Arbitrary<Change> = fc.record({
  type: fc.constantFrom(...types),
  name: fc.constantFrom(...names),
  layer: fc.constantFrom('shared', 'shared', 'own'),
  text: fc.oneof(
    { weight: 5, arbitrary: fc.nat({ max: 9 }).map(String) },
    { weight: 1, arbitrary: fc.constant('poison') },
    { weight: 2, arbitrary: fc.constant(null) },
  ),
});
const subscription = {
  client,
  type: fc.constantFrom(...types),
  names: fc.uniqueArray(fc.constantFrom('*', ...names), { maxLength: 3 }),
};
const op: fc.Arbitrary<Op> = fc.oneof(
  {
    weight: 6,
    arbitrary: fc.record({
      kind: fc.constant('update'),
      changes: fc.array(change, { minLength: 1, maxLength: 8 }),
    }),
  },
  { weight: 4, arbitrary: fc.record({ kind: fc.constant('subscribe'), ...subscription }) },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant('unsubscribe'), ...subscription }) },
  { weight: 8, arbitrary: fc.record({ kind: fc.constant('answer'), client }) },
  { weight: 1, arbitrary: fc.record({ kind: fc.constantFrom('stale', 'repeat', 'reconnect'), client }) },
);

/** One client with what it has, as an Envoy would: the good part of a refused response applies. */
function modelClient(
  variant: Variant,
  number: number,
  server: ReturnType<typeof createXdsServer>,
  current: (ref: ResourceRef) => string | undefined,
) {
  const has = new Map<string, Map<string, { value: string; version: string }>>();
  const subscribed = new Map<Type, Set<string>>();
  const everNamed = new Set<Type>();
  const sent = new Map<string, Map<string, string>>();
  /** Names the server may or must send again though the client has them. */
  const open = new Map<string, Set<string>>();
  const acceptedVersion = new Map<string, string>();
  const lastNonce = new Map<string, string>();
  let lastAnswer: (() => void) | null = null;
  let connection = connect();

  function connect(): SimulatedClient {
    return simulatedClient(server, { variant, onResponse: check });
  }

  function of<Value>(map: Map<string, Value>, type: string, make: () => Value): Value {
    const value = map.get(type) ?? make();
    map.set(type, value);
    return value;
  }

  function reopen(type: string, wanted: readonly string[]): void {
    const set = of(open, type, () => new Set<string>());
    for (const name of wanted) set.add(name);
  }

  function wants(type: Type, name: string): boolean {
    const set = subscribed.get(type);
    return set !== undefined && (set.has('*') || set.has(name));
  }

  /** What must hold the moment a response is sent. */
  function check(response: Response): void {
    const { typeUrl, resources, removed } = response;
    const unanswered = connection.inbox.filter((other) => other.typeUrl === typeUrl);
    assert.equal(unanswered.length, 1, 'one unanswered response per type');
    const all = [...resources.map(({ name }) => name), ...removed];
    assert.equal(new Set(all).size, all.length, 'no name twice in a response');
    const mine = has.get(typeUrl);
    const forced = of(open, typeUrl, () => new Set());
    const free = (name: string): boolean => forced.has(name);
    const fullState = variant === 'sotw' && resourceType(typeUrl).fullState;
    if (variant === 'delta') {
      for (const { name, version } of resources) {
        assert.ok(
          free(name) || mine?.get(name)?.version !== version,
          `${name} at ${version} is there already`,
        );
      }
    }
    const news = resources.filter(({ name, value }) => !free(name) && mine?.get(name)?.value !== value);
    if (news.length > 0) assertOrder(typeUrl, fullState);
    const view = of(sent, typeUrl, () => new Map());
    if (fullState) view.clear();
    for (const { name, value } of resources) view.set(name, value);
    for (const name of removed) view.delete(name);
    for (const name of all) forced.delete(name);
    if (fullState) forced.clear();
  }

  /** Everything that goes before this type has been sent. */
  function assertOrder(typeUrl: string, fullState: boolean): void {
    const { rank } = resourceType(typeUrl);
    if (rank === null || fullState) return;
    for (const other of types) {
      const otherRank = resourceType(other).rank;
      if (otherRank === null || otherRank >= rank || !subscribed.has(other)) continue;
      if (
        connection.inbox.some(
          ({ resources, typeUrl: type }) =>
            type === other && resources.some(({ value }) => value.includes('poison')),
        )
      )
        continue;
      for (const name of names) {
        const value = wants(other, name) ? current({ typeUrl: other, name }) : undefined;
        if (value === undefined || value.includes('poison')) continue;
        assert.equal(sent.get(other)?.get(name), value, `${typeUrl} was sent before ${other} ${name}`);
      }
    }
  }

  function request(
    type: Type,
    fields: {
      add?: readonly string[];
      drop?: readonly string[];
      nonce?: string;
      error?: string;
      versions?: Record<string, string>;
    },
  ): void {
    const { add = [], drop = [], nonce = '', error, versions = {} } = fields;
    const node = { id: `client ${number}` };
    const errorDetail = error === undefined ? {} : { errorDetail: { message: error } };
    if (variant === 'delta') {
      connection.delta({
        node,
        typeUrl: type,
        resourceNamesSubscribe: [...add],
        resourceNamesUnsubscribe: [...drop],
        responseNonce: nonce,
        initialResourceVersions: versions,
        ...errorDetail,
      });
    } else {
      connection.sotw({
        node,
        typeUrl: type,
        resourceNames: [...(everNamed.has(type) ? (subscribed.get(type) ?? []) : [])],
        responseNonce: nonce === '' ? (lastNonce.get(type) ?? '') : nonce,
        versionInfo: acceptedVersion.get(type) ?? '',
        ...errorDetail,
      });
    }
  }

  function subscribe(type: Type, wanted: readonly string[]): void {
    const first = !subscribed.has(type);
    if (!first && wanted.length === 0) return;
    const set = of<Set<string>>(subscribed, type, () => new Set());
    if (wanted.length === 0) set.add('*');
    if (wanted.length > 0) {
      if (variant === 'sotw' && !everNamed.has(type)) set.clear();
      everNamed.add(type);
    }
    for (const name of wanted) {
      set.add(name);
    }
    reopen(type, wanted);
    if (wanted.includes('*') || wanted.length === 0 || variant === 'sotw') reopen(type, names);
    request(type, { add: wanted });
  }

  function unsubscribe(type: Type, unwanted: readonly string[]): void {
    const set = subscribed.get(type);
    if (set === undefined || unwanted.length === 0) return;
    if (variant === 'sotw' && !everNamed.has(type)) return;
    const had = unwanted.filter((name) => set.has(name));
    for (const name of had) set.delete(name);
    for (const name of names) {
      if (wants(type, name)) {
        if (had.includes(name)) reopen(type, [name]);
      } else {
        has.get(type)?.delete(name);
        sent.get(type)?.delete(name);
      }
    }
    if (variant === 'sotw') reopen(type, names);
    request(type, { drop: unwanted });
  }

  function answer(): boolean {
    const response = connection.inbox.shift();
    if (response === undefined) return false;
    const type = response.typeUrl as Type;
    const store = of(has, type, () => new Map());
    const good = response.resources.filter(({ value }) => !value.includes('poison'));
    const refused = good.length < response.resources.length;
    const fullState = variant === 'sotw' && resourceType(type).fullState;
    const before = new Map(store);
    if (fullState) store.clear();
    for (const { name, value, version } of response.resources) {
      if (!value.includes('poison')) {
        if (wants(type, name)) store.set(name, { value, version });
      } else {
        const kept = before.get(name);
        if (kept !== undefined) store.set(name, kept);
      }
    }
    for (const name of response.removed) store.delete(name);
    // A client may have applied part of what it refused: the server has to send all of it again.
    if (refused) reopen(type, [...response.resources.map(({ name }) => name), ...response.removed]);
    if (!refused) acceptedVersion.set(type, response.version);
    lastNonce.set(type, response.nonce);
    const reply = (): void =>
      request(type, { nonce: response.nonce, ...(refused ? { error: 'something in it is bad' } : {}) });
    lastAnswer = () => {
      reopen(type, names);
      if (lastNonce.get(type) === response.nonce) reply();
    };
    reply();
    return true;
  }

  function reconnect(): void {
    connection.close();
    connection = connect();
    lastAnswer = null;
    for (const map of [lastNonce, sent, open]) map.clear();
    for (const type of subscribed.keys()) {
      const set = subscribed.get(type) ?? new Set();
      const store = of(has, type, () => new Map());
      of(sent, type, () => new Map());
      for (const [name, { value }] of store) sent.get(type)?.set(name, value);
      reopen(type, names);
      if (variant === 'delta') {
        for (const name of store.keys()) open.get(type)?.delete(name);
        if (set.size > 0) everNamed.add(type);
        const versions = Object.fromEntries([...store].map(([name, { version }]) => [name, version]));
        if (set.size === 0) {
          subscribed.delete(type);
          everNamed.delete(type);
          has.delete(type);
        } else request(type, { add: [...set], versions });
      } else if (set.size === 0) {
        subscribed.delete(type);
        everNamed.delete(type);
        has.delete(type);
        acceptedVersion.delete(type);
      } else {
        // Only a client that wants all of a type may say that it has it.
        if (set.size !== 1 || !set.has('*')) acceptedVersion.delete(type);
        request(type, {});
      }
    }
  }

  return {
    subscribe,
    unsubscribe,
    answer,
    reconnect,
    repeat: () => lastAnswer?.(),
    stale: () => {
      for (const type of subscribed.keys()) {
        if (variant === 'delta') request(type, { nonce: 'long gone', error: 'stale' });
      }
    },
    ended: () => connection.ended(),
    has,
    subscribed,
    wants,
  };
}

function run(variant: Variant, ops: readonly Op[]): void {
  const clock = manualClock();
  const server = createXdsServer({ clock, layers: () => ['shared', 'own'] });
  const layers = { shared: new Map<string, string>(), own: new Map<string, string>() };
  const current = ({ typeUrl, name }: ResourceRef): string | undefined =>
    layers.own.get(`${typeUrl} ${name}`) ?? layers.shared.get(`${typeUrl} ${name}`);
  const clients = Array.from({ length: clientCount }, (_, number) =>
    modelClient(variant, number, server, current),
  );

  for (const one of ops) {
    switch (one.kind) {
      case 'update':
        update(one.changes);
        break;
      case 'subscribe':
        clients[one.client]!.subscribe(one.type, one.names);
        break;
      case 'unsubscribe':
        clients[one.client]!.unsubscribe(one.type, one.names);
        break;
      case 'answer':
        clients[one.client]!.answer();
        break;
      case 'repeat':
        clients[one.client]!.repeat();
        break;
      case 'stale':
        clients[one.client]!.stale();
        break;
      case 'reconnect':
        clients[one.client]!.reconnect();
        break;
    }
    clock.settle();
  }
  for (let rounds = 0, busy = true; busy; rounds += 1) {
    assert.ok(rounds < 1_000, 'the server never stops sending');
    busy = clients.map((each) => each.answer()).some(Boolean);
    clock.settle();
  }
  clients.forEach(atRest);

  function update(changes: readonly Change[]): void {
    const once = new Map(changes.map((each) => [`${each.layer} ${each.type} ${each.name}`, each]));
    const updates = [...once.values()].map(({ type, name, layer, text }) => {
      const value = `${name}:${text}`;
      if (text === null) layers[layer].delete(`${type} ${name}`);
      else layers[layer].set(`${type} ${name}`, value);
      return text === null
        ? { layer, remove: [{ typeUrl: type, name }] }
        : { layer, set: [encodedResource({ typeUrl: type, name, value: Buffer.from(value) })] };
    });
    server.update(...updates);
  }

  function statusOf(number: number): NonNullable<ReturnType<typeof server.status>> {
    const own = server.clients().find(({ id }) => id === `client ${number}`);
    return (own === undefined ? undefined : server.status(own.id)) ?? new Map();
  }

  function atRest(each: (typeof clients)[number], number: number): void {
    assert.equal(each.ended(), null);
    for (const [type, states] of statusOf(number)) {
      for (const [name, { kind }] of states) {
        assert.ok(
          ['in-force', 'absent', 'refused'].includes(kind),
          `client ${number}: ${type} ${name} is ${kind}`,
        );
      }
    }
    for (const type of each.subscribed.keys()) {
      const refused = server
        .refusals()
        .filter(({ client: id, ref }) => id === `client ${number}` && ref.typeUrl === type)
        .map(({ ref }) => ref.name);
      for (const name of names) {
        const value = each.wants(type, name) ? current({ typeUrl: type, name }) : undefined;
        const got = each.has.get(type)?.get(name)?.value;
        const poisoned = value?.includes('poison') === true;
        assert.equal(
          refused.includes(name),
          poisoned,
          `client ${number}: ${type} ${name} is ${value}, refused: ${refused}`,
        );
        // Only delta and full state can say that something is gone.
        const mayLinger = value === undefined && variant === 'sotw' && !resourceType(type).fullState;
        if (!poisoned && !mayLinger) assert.equal(got, value, `client ${number}: ${type} ${name}`);
      }
    }
    assert.equal(server.metrics().unanswered, 0);
  }
}

suite('at rest every client has exactly its view, and on the way nothing is sent twice or out of order', () => {
  for (const variant of ['delta', 'sotw'] as const) {
    test(variant, () => {
      fc.assert(
        fc.property(fc.array(op, { maxLength: 60 }), (ops) => run(variant, ops)),
        { numRuns: runs },
      );
    });
  }
});
