// What a connection hears that is refused, by workloads that are told to answer.
import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { type Datapath, ipAddress, noSet, proxyPort, setNumber } from '@weir/bpf';
import { addressIn, apply, enterLab, families, openLabDatapath, outside, workloads } from './lab.ts';
import { peersIn } from './peer.ts';

const lab = enterLab(import.meta.filename);
const allow = { kind: 'allow' } as const;

describe('denyAction reset', () => {
  let datapath: Datapath;
  const { open, peer, fresh, close } = peersIn(lab);

  before(async () => {
    datapath = openLabDatapath(lab, { denyAction: 'reset' });
    open('alpha', 'beta', 'node', 'outside');
    await peer('beta').listen('web 4', 80);
    await peer('beta').listen('web 6', 80, { host: '::' });
    await peer('outside').listen('web 4', 80);
    await peer('outside').listen('web 6', 80, { host: '::' });
  });
  after(async () => {
    await close();
    datapath.remove();
  });

  for (const family of families) {
    const beta = addressIn(family, workloads.beta);
    const any = family === 'IPv4' ? '0.0.0.0' : '::';

    for (const from of ['alpha', 'node', 'outside'] as const) {
      test(`a SYN is answered with a RST: ingress, from ${from} (${family})`, async () => {
        apply(datapath, 'beta', [{ direction: 'ingress', peer: 1003, verdict: allow }]);
        assert.equal(await peer(from).connect(fresh(), beta, 80), 'ECONNREFUSED');
        apply(datapath, 'beta', [], []);
        assert.match(await peer(from).connect(fresh(), beta, 80), /^\d+$/);
      });

      test(`a datagram is answered with "port unreachable": ingress, from ${from} (${family})`, async () => {
        apply(datapath, 'beta', [{ direction: 'ingress', peer: 1003, verdict: allow }]);
        const name = fresh();
        await peer(from).ask({ op: 'udp', name, host: any });
        await peer(from).ask({ op: 'connect_udp', name, host: beta, port: 53 });
        await peer(from).send(name, 'x');
        assert.equal(await peer(from).receive(name), 'ECONNREFUSED');
        apply(datapath, 'beta', [], []);
      });
    }

    test(`a SYN is answered with a RST: egress (${family})`, async () => {
      apply(datapath, 'alpha', [{ direction: 'egress', peer: 1003, verdict: allow }]);
      const before = datapath.counters();
      assert.equal(await peer('alpha').connect(fresh(), addressIn(family, outside), 80), 'ECONNREFUSED');
      const later = datapath.counters();
      assert.equal(later['policy-default-deny'] - before['policy-default-deny'], 1n, 'it is not tried again');
      assert.equal(later['reset-sent'] - before['reset-sent'], 1n);
      apply(datapath, 'alpha', [], []);
    });

    test(`a SYN is answered with a RST: the proxy is gone (${family})`, async () => {
      const set = setNumber(7);
      datapath.maps.pairs.set({ egressSet: noSet, ingressSet: set }, { proxyPort: proxyPort(15099) });
      for (const [from, identity] of [
        ['alpha', 1001],
        ['outside', 2],
      ] as const) {
        apply(datapath, 'beta', [{ direction: 'ingress', peer: identity, verdict: { kind: 'l7', set } }]);
        assert.equal(await peer(from).connect(fresh(), beta, 80), 'ECONNREFUSED', from);
      }
      apply(datapath, 'beta', [], []);
    });
  }

  test('the workload whose policy refuses decides whether it answers', async () => {
    const beta = ipAddress(workloads.beta.address);
    const known = datapath.maps.localAddresses.get(beta)!;
    apply(datapath, 'beta', [{ direction: 'ingress', peer: 1003, verdict: allow }]);
    datapath.maps.localAddresses.set(beta, { ...known, denyAction: 'drop' });
    assert.equal(await peer('alpha').connect(fresh(), beta, 80, { timeout: 0.3 }), 'ETIMEDOUT');
    apply(datapath, 'alpha', [{ direction: 'egress', peer: 1003, verdict: allow }]);
    assert.equal(await peer('alpha').connect(fresh(), beta, 80), 'ECONNREFUSED', 'refused by its own egress');
    datapath.maps.localAddresses.set(beta, known);
    for (const name of ['alpha', 'beta'] as const) apply(datapath, name, [], []);
  });

  test('an address that is not owned hears nothing', async () => {
    const before = datapath.counters();
    const mac = '020000000000';
    const frame = `${mac}${mac}0800${'4500001c000040004011'}0000${'0a470302'}${'0a470202'}${'03e80035'}${'00080000'}`;
    await peer('alpha').ask({ op: 'frame', interface: 'eth0', hex: frame });
    const later = datapath.counters();
    assert.equal(later['source-not-owned'] - before['source-not-owned'], 1n);
    assert.equal(later['unreachable-sent'], before['unreachable-sent']);
  });

  test('a flood of datagrams is not answered one by one', async () => {
    apply(datapath, 'beta', [{ direction: 'ingress', peer: 1003, verdict: allow }]);
    const before = datapath.counters();
    await peer('alpha').ask({ op: 'udp', name: 'flood' });
    await peer('alpha').ask({
      op: 'flood',
      name: 'flood',
      host: workloads.beta.address,
      port: 9,
      count: 20_000,
    });
    const later = datapath.counters();
    assert.ok(later['unreachable-sent'] > before['unreachable-sent']);
    assert.ok(later['unreachable-sent'] - before['unreachable-sent'] < 15_000n);
  });
});
