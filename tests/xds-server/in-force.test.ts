// What `inForce` says, and when.
import assert from 'node:assert/strict';
import { suite, test } from 'node:test';
import {
  createXdsServer,
  encodedResource,
  type InForce,
  type InForceRequest,
  type Resource,
  typeUrls,
  type XdsServer,
} from '@weir/xds-server';
import { type ManualClock, manualClock } from './manual-clock.ts';
import { type SimulatedClient, simulatedClient } from './simulated-client.ts';

const typeUrl = typeUrls.listener;

function listener(name: string, text: string): Resource {
  return encodedResource({ typeUrl, name, value: Buffer.from(`${name}:${text}`) });
}

interface World {
  readonly clock: ManualClock;
  readonly server: XdsServer;
  readonly connect: (id: string) => Connected;
}

interface Connected extends SimulatedClient {
  readonly accept: () => void;
  readonly refuse: (why: string) => void;
}

function world(): World {
  const clock = manualClock();
  const server = createXdsServer({ clock, layers: ({ id }) => ['shared', id] });
  const connect = (id: string): Connected => {
    const client = simulatedClient(server, { variant: 'delta' });
    client.delta({ node: { id }, typeUrl });
    clock.settle();
    const answer = (errorDetail: { errorDetail?: { message: string } }): void => {
      client.delta({ typeUrl, responseNonce: client.inbox.shift()?.nonce ?? '', ...errorDetail });
      clock.settle();
    };
    return { ...client, accept: () => answer({}), refuse: (message) => answer({ errorDetail: { message } }) };
  };
  return { clock, server, connect };
}

/** The result so far: null while it is being waited for. */
function watch(
  server: XdsServer,
  request: Omit<InForceRequest, 'deadlineMs'>,
): () => Promise<InForce | null> {
  let result: InForce | null = null;
  void server.inForce({ deadlineMs: 1_000, ...request }).then((settled) => {
    result = settled;
  });
  return async () => {
    await new Promise((done) => setImmediate(done));
    return result;
  };
}

suite('inForce', () => {
  test('a change is in force when it is accepted, not when it is sent', async () => {
    const { clock, server, connect } = world();
    const one = connect('one');
    one.accept();
    const result = watch(server, { targets: server.update({ set: [listener('a', '1')] }) });
    clock.settle();
    assert.equal(await result(), null);
    one.accept();
    assert.deepEqual(await result(), { kind: 'in-force', clients: ['one'] });
  });

  test('a removal is in force when it is accepted, not when it is sent', async () => {
    const { clock, server, connect } = world();
    server.update({ set: [listener('a', '1')] });
    const one = connect('one');
    one.accept();
    const result = watch(server, { targets: server.update({ remove: [{ typeUrl, name: 'a' }] }) });
    clock.settle();
    assert.deepEqual(one.inbox[0]?.removed, ['a']);
    assert.equal(await result(), null);
    one.accept();
    assert.equal((await result())?.kind, 'in-force');
  });

  test('a later state of the same name satisfies those who wait for an earlier one', async () => {
    const { clock, server, connect } = world();
    const one = connect('one');
    const first = watch(server, { targets: server.update({ set: [listener('a', '1')] }) });
    server.update({ set: [listener('a', '2')] });
    clock.settle();
    one.accept();
    assert.equal(await first(), null);
    one.accept();
    assert.equal((await first())?.kind, 'in-force');
  });

  test('every client that is chosen has to have it, also one that comes later', async () => {
    const { clock, server, connect } = world();
    const result = watch(server, {
      targets: server.update({ set: [listener('a', '1')] }),
      clients: ({ id }) => id !== 'ignored',
    });
    connect('ignored').accept();
    assert.equal(await result(), null);
    const [one, two] = [connect('one'), connect('two')];
    one.accept();
    clock.settle();
    assert.equal(await result(), null);
    two.accept();
    assert.deepEqual(await result(), { kind: 'in-force', clients: ['one', 'two'] });
  });

  test('a layer concerns those who see it', async () => {
    const { clock, server, connect } = world();
    const [one, two] = [connect('one'), connect('two')];
    one.accept();
    two.accept();
    const result = watch(server, { targets: server.update({ layer: 'one', set: [listener('a', '1')] }) });
    clock.settle();
    assert.deepEqual(two.inbox, []);
    one.accept();
    assert.deepEqual(await result(), { kind: 'in-force', clients: ['one'] });
  });

  test('a refusal carries the words of the client and what stays', async () => {
    const { clock, server, connect } = world();
    const [before] = server.update({ set: [listener('a', '1')] });
    const one = connect('one');
    one.accept();
    const [target] = server.update({ set: [listener('a', '2')] });
    const result = watch(server, { targets: server.targets([{ typeUrl, name: 'a' }]) });
    clock.settle();
    one.refuse('no such filter');
    assert.deepEqual(await result(), {
      kind: 'refused',
      refusals: [
        {
          client: 'one',
          ref: { typeUrl, name: 'a' },
          version: target?.version,
          accepted: before?.version,
          reason: { kind: 'nack', detail: 'no such filter' },
        },
      ],
    });
  });

  test('the deadline says how far each came', async () => {
    const { clock, server, connect } = world();
    const one = connect('one');
    one.accept();
    const targets = [
      ...server.update({ set: [listener('a', '1')] }),
      ...server.update({
        set: [encodedResource({ typeUrl: typeUrls.route, name: 'r', value: Buffer.from('r:1') })],
      }),
    ];
    const result = watch(server, { targets });
    clock.settle();
    clock.pass(1_000);
    const settled = await result();
    assert.ok(settled?.kind === 'deadline');
    assert.deepEqual(
      settled.outstanding.map(({ client, ref, state }) => [client, ref.name, state]),
      [
        ['one', 'a', 'sent'],
        ['one', 'r', 'not-subscribed'],
      ],
    );
  });

  test('nobody there until the deadline', async () => {
    const { clock, server } = world();
    const result = watch(server, { targets: server.update({ set: [listener('a', '1')] }) });
    clock.pass(1_000);
    assert.deepEqual(await result(), { kind: 'deadline', outstanding: [] });
  });

  test('a client that goes, and a caller that gives up', async () => {
    const { clock, server, connect } = world();
    const one = connect('one');
    one.accept();
    const targets = server.update({ set: [listener('a', '1')] });
    const stop = new AbortController();
    const [lost, stopped] = [watch(server, { targets }), watch(server, { targets, signal: stop.signal })];
    clock.settle();
    stop.abort();
    one.close();
    assert.deepEqual(await lost(), { kind: 'disconnected', clients: ['one'] });
    assert.deepEqual(await stopped(), { kind: 'aborted' });
  });

  test('an update is taken whole or not at all', () => {
    const { server } = world();
    const twice = { set: [listener('a', '1'), listener('a', '2')] };
    assert.throws(() => server.update({ set: [listener('b', '1')] }, twice), /"a" twice in layer "shared"/);
    assert.throws(() => server.update({ set: [listener('*', '1')] }), /names no resource/);
    assert.deepEqual(server.resources(), []);
  });
});
