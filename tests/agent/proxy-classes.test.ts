import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { createProxyClasses, type InForce, type ProxyClasses, type WantedClass } from '@weir/agent';
import { type EnvoyResource, typeUrls } from '@weir/envoy-config';
import { classId, type L7Slot } from '@weir/l7-policy';

const id = classId('landing');

/** Proxy classes on a proxy whose answers the test gives. */
function setup(): {
  classes: ProxyClasses;
  published: string[];
  answer(answer: InForce): Promise<void>;
  later: (() => void)[];
  progress(): number;
} {
  const published: string[] = [];
  const asked: ((answer: InForce) => void)[] = [];
  const later: (() => void)[] = [];
  let progressed = 0;
  const classes = createProxyClasses({
    publisher: {
      publish(set, remove) {
        published.push(
          ...set.map(({ name, bytes }) => `+${name} ${Buffer.from(bytes)}`),
          ...remove.map(({ name }) => `-${name}`),
        );
      },
      inForce: () => new Promise((resolve) => asked.push(resolve)),
    },
    compile: ({ ingress }) => {
      const content = (ingress ?? []).map(({ digest }) => digest).join();
      if (content === 'bad')
        return { kind: 'refused', problem: { message: 'cannot be compiled', rules: [] } };
      const resource = (name: string, text: string): EnvoyResource => ({
        typeUrl: typeUrls.routes,
        name,
        bytes: Buffer.from(text),
      });
      return { kind: 'compiled', resources: [resource('listener', 'port'), resource('routes', content)] };
    },
    listening: () => Promise.resolve(),
    onProgress: () => {
      progressed += 1;
    },
    after: (_delayMs, callback) => later.push(callback),
  });
  return {
    classes,
    published,
    later,
    progress: () => progressed,
    async answer(answer) {
      asked.shift()?.(answer);
      await new Promise((next) => setImmediate(next));
    },
  };
}

function wanted(content: string): WantedClass {
  const slot = { id: 'slot', digest: content } as L7Slot;
  return { id, kind: 'http', port: 14_000, egress: null, ingress: [slot] };
}

describe('classes at the proxy', () => {
  it('are ready only once the proxy has them in force', async () => {
    const { classes, published, answer, progress } = setup();
    classes.want([wanted('a')]);
    assert.deepEqual(published, ['+listener port', '+routes a']);
    assert.deepEqual(
      [classes.ready().size, classes.progress(id), classes.unsettled()],
      [0, { kind: 'waiting' }, [id]],
    );
    await answer({ kind: 'in-force' });
    assert.deepEqual(
      [[...classes.ready()], classes.progress(id), classes.unsettled()],
      [[id], { kind: 'ready' }, []],
    );
    assert.equal(progress(), 1);
  });

  it('publish nothing when nothing changed, and only what did', async () => {
    const { classes, published, answer } = setup();
    classes.want([wanted('a')]);
    await answer({ kind: 'in-force' });
    published.length = 0;
    classes.want([wanted('a')]);
    assert.deepEqual(published, []);
    classes.want([wanted('b')]);
    assert.deepEqual(published, ['+routes b']);
  });

  it('go on serving while a new content is on its way', async () => {
    const { classes, answer } = setup();
    classes.want([wanted('a')]);
    await answer({ kind: 'in-force' });
    classes.want([wanted('b')]);
    assert.deepEqual([[...classes.ready()], classes.progress(id)], [[id], { kind: 'waiting' }]);
  });

  it('compile what came meanwhile once, when the proxy has taken what it was sent', async () => {
    const { classes, published, answer, progress } = setup();
    classes.want([wanted('a')]);
    await answer({ kind: 'in-force' });
    classes.want([wanted('b')]);
    published.length = 0;
    for (const content of ['c', 'd', 'bad']) classes.want([wanted(content)]);
    assert.deepEqual([published, classes.progress(id)], [[], { kind: 'waiting' }]);
    const before = progress();
    await answer({ kind: 'in-force' });
    assert.equal(progress(), before + 1, 'a turn is asked for');
    classes.want([wanted('d')]);
    assert.deepEqual([published, classes.unsettled()], [['+routes d'], [id]]);
  });

  it('do not wait for a proxy that refused or gave no answer', async () => {
    const { classes, published, answer, progress } = setup();
    classes.want([wanted('a')]);
    await answer({ kind: 'in-force' });
    for (const kind of ['refused', 'unknown'] as const) {
      classes.want([wanted(kind)]);
      published.length = 0;
      classes.want([wanted(`after ${kind}`)]);
      assert.deepEqual(published, []);
      const before = progress();
      await answer(kind === 'refused' ? { kind, problem: 'no' } : { kind });
      assert.equal(progress(), before + 1);
      classes.want([wanted(`after ${kind}`)]);
      assert.deepEqual(published, [`+routes after ${kind}`]);
      await answer({ kind: 'in-force' });
    }
  });

  it('are published at once while they serve nothing yet', async () => {
    const { classes, published } = setup();
    classes.want([wanted('a')]);
    classes.want([wanted('b')]);
    assert.deepEqual(published.at(-1), '+routes b');
  });

  it('keep serving what they did when the proxy refuses a new content', async () => {
    const { classes, answer } = setup();
    classes.want([wanted('a')]);
    await answer({ kind: 'in-force' });
    classes.want([wanted('b')]);
    await answer({ kind: 'refused', problem: 'no' });
    assert.deepEqual(classes.progress(id), { kind: 'refused', problem: 'no', serving: true });
    assert.deepEqual([[...classes.ready()], classes.unsettled()], [[id], []]);
  });

  it('keep serving what they did when a new content cannot be compiled', async () => {
    const { classes, published, answer } = setup();
    classes.want([wanted('a')]);
    await answer({ kind: 'in-force' });
    published.length = 0;
    classes.want([wanted('bad')]);
    assert.deepEqual(published, []);
    assert.deepEqual(classes.progress(id), { kind: 'refused', problem: 'cannot be compiled', serving: true });
    classes.want([wanted('a')]);
    assert.deepEqual(classes.progress(id), { kind: 'ready' });
  });

  it('are asked for again when the proxy gave no answer', async () => {
    const { classes, answer, later } = setup();
    classes.want([wanted('a')]);
    await answer({ kind: 'unknown' });
    assert.equal(later.length, 1);
    later[0]?.();
    await answer({ kind: 'in-force' });
    assert.deepEqual([...classes.ready()], [id]);
  });

  it('are not ready when the proxy is gone, until it has taken them again', async () => {
    const { classes, answer } = setup();
    classes.want([wanted('a')]);
    await answer({ kind: 'in-force' });
    classes.lost();
    assert.deepEqual([classes.ready().size, classes.unsettled()], [0, [id]]);
    await answer({ kind: 'in-force' });
    assert.deepEqual([...classes.ready()], [id]);
  });

  it('are withdrawn when they are dropped', async () => {
    const { classes, published, answer } = setup();
    classes.want([wanted('a')]);
    await answer({ kind: 'in-force' });
    published.length = 0;
    classes.drop([id]);
    assert.deepEqual(published, ['-listener', '-routes']);
    assert.equal(classes.progress(id), undefined);
  });
});
