import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { afterEach, beforeEach, describe, it } from 'node:test';
import { type Instance, installRouting, instanceOf, removeRouting } from '@weir/redirect';
import { runName } from '../run-name.ts';

const namespace = runName('weir-routing');
const ip = async (...words: readonly string[]): Promise<string> =>
  execFileSync('ip', ['-n', namespace, ...words], { encoding: 'utf8', stdio: ['ignore', 'pipe', 'pipe'] });

describe('routing of an instance', () => {
  const instance = instanceOf('default');
  let before = '';
  beforeEach(async () => {
    execFileSync('ip', ['netns', 'add', namespace]);
    await ip('link', 'set', 'lo', 'up');
    before = await everything();
  });
  afterEach(() => {
    execFileSync('ip', ['netns', 'delete', namespace]);
  });

  async function everything(): Promise<string> {
    const shown = ['-4', '-6'].map(
      async (family) => (await ip(family, 'rule')) + (await ip(family, 'route', 'show', 'table', 'all')),
    );
    return (await Promise.all(shown)).join('');
  }

  it('delivers marked packets locally, however often it is installed', async () => {
    await installRouting(instance, ip);
    const once = await everything();
    await installRouting(instance, ip);
    assert.equal(await everything(), once);
    const route = await ip('route', 'get', '192.0.2.1', 'mark', String(instance.marks.deliver));
    assert.match(route, /local 192\.0\.2\.1 dev lo/);
    await assert.rejects(
      ip('route', 'get', '192.0.2.1', 'mark', String(instance.marks.proxy)),
      /unreachable/,
    );
  });

  it('leaves nothing when it is removed, however often', async () => {
    await removeRouting(instance, ip);
    await installRouting(instance, ip);
    await removeRouting(instance, ip);
    await removeRouting(instance, ip);
    assert.equal(await everything(), before);
  });

  it('refuses to share a mark, and leaves the other rule alone', async () => {
    const twin: Instance = {
      ...instance,
      name: 'twin',
      routingProtocol: instance.routingProtocol === 200 ? 201 : 200,
    };
    await installRouting(instance, ip);
    const installed = await everything();
    await assert.rejects(
      installRouting(twin, ip),
      /is already routed by somebody else's rule \(table 2001\): choose another --instance/,
    );
    await removeRouting(twin, ip);
    assert.equal(await everything(), installed);
  });

  it('gives every instance marks of its own under one mask', () => {
    const names = Array.from({ length: 40 }, (_, index) => `node-${index}`);
    for (const { marks } of [instance, ...names.map(instanceOf)]) {
      const all = [marks.deliver, marks.proxy, marks.reinject];
      assert.equal(new Set(all).size, 3);
      for (const mark of all) assert.ok(mark > 0 && (mark & marks.mask) === mark, mark.toString(16));
    }
    for (const name of ['', 'Upper', '-x', 'a'.repeat(33), 'a/b'])
      assert.throws(() => instanceOf(name), /is no instance name/);
  });
});
