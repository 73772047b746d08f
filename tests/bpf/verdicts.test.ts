import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { type Datapath, noSet, proxyPort, setNumber } from '@weir/bpf';
import { apply, enterLab, marks, openLabDatapath, workloads } from './lab.ts';
import { openPeer, type Peer } from './peer.ts';

const lab = enterLab(import.meta.filename);
const tcp = 6;
const deny = { kind: 'deny' } as const;
const proxy = 15001;

describe('verdicts on real connections', () => {
  let datapath: Datapath;
  let alpha: Peer;
  let beta: Peer;
  let node: Peer;

  before(async () => {
    datapath = openLabDatapath(lab);
    alpha = openPeer(lab, 'alpha');
    beta = openPeer(lab, 'beta');
    node = openPeer(lab, 'node');
    await beta.listen('web', 80);
  });

  after(async () => {
    await Promise.all([alpha.close(), beta.close(), node.close()]);
    datapath.remove();
  });

  test('a workload without enforced directions is reached', async () => {
    assert.match(await alpha.connect('c', workloads.beta.address, 80), /^\d+$/);
    assert.match(await alpha.receive('c'), /^10\.71\.1\.2:/);
  });

  test('deny', async () => {
    apply(datapath, 'beta', [{ direction: 'ingress', peer: 1001, protocol: tcp, port: 80, verdict: deny }]);
    assert.equal(await alpha.connect('c', workloads.beta.address, 80, { timeout: 0.3 }), 'ETIMEDOUT');
    assert.ok(datapath.counters()['policy-deny'] >= 1n);
  });

  test('redirect with the real client address', async () => {
    const set = setNumber(7);
    await node.listen('proxy', proxy, {
      host: '127.0.0.1',
      mark: marks.proxy,
      transparent: true,
      proxy: true,
    });
    datapath.maps.pairs.set({ egressSet: noSet, ingressSet: set }, { proxyPort: proxyPort(proxy) });
    apply(datapath, 'beta', [
      { direction: 'ingress', peer: 1001, protocol: tcp, port: 80, verdict: { kind: 'l7', set } },
    ]);
    assert.match(await alpha.connect('c', workloads.beta.address, 80), /^\d+$/);
    assert.match(await alpha.receive('c'), /^10\.71\.1\.2:/);
    assert.equal(datapath.counters().redirected, 1n);
    await alpha.send('c', 'hello');
    assert.equal(await alpha.receive('c'), 'hello');
  });
});
