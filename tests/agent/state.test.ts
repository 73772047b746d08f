import assert from 'node:assert/strict';
import { readdirSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, it } from 'node:test';
import {
  allocationStore,
  createLastGood,
  createStateStore,
  createWorkloadRegistry,
  type Workload,
} from '@weir/agent';
import { temporaryFolder } from '../run-name.ts';

describe('state over restarts', () => {
  let directory = '';
  beforeEach(() => {
    directory = temporaryFolder('state');
  });
  afterEach(() => rmSync(directory, { recursive: true }));

  it('is what was written last, and leaves no other file', () => {
    createStateStore(directory).write('numbers', { a: 1 });
    const store = createStateStore(directory);
    assert.deepEqual(store.read('numbers'), { a: 1 });
    assert.equal(store.read('nothing'), undefined);
    assert.deepEqual(readdirSync(directory), ['numbers.json']);
    store.remove('numbers');
    store.remove('numbers');
    assert.deepEqual(readdirSync(directory), []);
  });

  it('names the file that is damaged', () => {
    writeFileSync(join(directory, 'numbers.json'), '{');
    assert.throws(() => createStateStore(directory).read('numbers'), /numbers\.json is damaged/);
  });

  it('has the numbers of the redirector, and none where they are of another form', () => {
    const store = createStateStore(directory);
    assert.equal(allocationStore(store).load(), undefined);
    const numbers = { subjects: [], sets: [], proxyPorts: [], nextGeneration: 7 };
    allocationStore(store).save(numbers);
    assert.deepEqual(allocationStore(createStateStore(directory)).load(), numbers);
    store.write('allocation', [numbers]);
    assert.equal(allocationStore(store).load(), undefined);
  });

  it('keeps the last good text of each file until it is forgotten', () => {
    createLastGood(createStateStore(directory)).save('/a/b.yaml', 'x: 1');
    const lastGood = createLastGood(createStateStore(directory));
    assert.deepEqual([lastGood.load('/a/b.yaml'), lastGood.load('/a/c.yaml')], ['x: 1', undefined]);
    lastGood.forget('/a/b.yaml');
    assert.equal(lastGood.load('/a/b.yaml'), undefined);
  });
});

describe('workload registry', () => {
  const workload = (name: string, address: string): Workload => ({
    name,
    namespace: 'default',
    labels: { app: name },
    attachment: { kind: 'interface', name },
    addresses: [address],
    namedPorts: {},
  });

  it('reports what a new version of the file changed', () => {
    const registry = createWorkloadRegistry([], () => undefined);
    registry.replaceFile([workload('a', '10.0.0.1'), workload('b', '10.0.0.2')]);
    const change = registry.replaceFile([workload('b', '10.0.0.2'), workload('c', '10.0.0.3')]);
    assert.deepEqual([change.set.map(({ name }) => name), change.removed], [['c'], ['a']]);
  });

  it('refuses a clash of names or addresses and changes nothing', () => {
    const kept: string[][] = [];
    const registry = createWorkloadRegistry([workload('x', '10.0.0.9')], (added) =>
      kept.push(added.map(({ name }) => name)),
    );
    registry.replaceFile([workload('a', '10.0.0.1')]);
    assert.throws(() => registry.replaceFile([workload('x', '10.0.0.8')]), /x was already added/);
    assert.throws(
      () => registry.replaceFile([workload('b', '10.0.0.9')]),
      /10\.0\.0\.9 of x is already that of b/,
    );
    assert.throws(() => registry.add(workload('a', '10.0.0.7')), /stands in the workloads file/);
    assert.throws(() => registry.add(workload('y', '10.0.0.1')), /already that of/);
    assert.throws(() => registry.remove('a'), /stands in the workloads file/);
    assert.throws(() => registry.remove('nobody'), /there is no workload nobody/);
    assert.deepEqual(
      registry.all().map(({ workload: { name }, origin }) => `${name} ${origin}`),
      ['a file', 'x api'],
    );
    assert.deepEqual(kept, []);
  });

  it('keeps what was added on disk before it counts', () => {
    const registry = createWorkloadRegistry([], () => {
      throw new Error('disk full');
    });
    assert.throws(() => registry.add(workload('a', '10.0.0.1')), /disk full/);
    assert.equal(registry.get('a'), undefined);
  });
});
