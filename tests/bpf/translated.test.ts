// Destinations and sources that the node translates by netfilter, as kube-proxy and a masquerading node do.
import assert from 'node:assert/strict';
import { after, afterEach, before, describe, test } from 'node:test';
import { type Datapath, identityNumber, ipPrefix, noSet, proxyPort, setNumber } from '@weir/bpf';
import {
  addressIn,
  apply,
  command,
  enterLab,
  families,
  gatewayOf,
  marks,
  openLabDatapath,
  outside,
  type WorkloadName,
  workloads,
} from './lab.ts';
import { peersIn } from './peer.ts';

const lab = enterLab(import.meta.filename);
const allow = { kind: 'allow' } as const;
const set = setNumber(7);
const l7 = { kind: 'l7', set } as const;
const port = 15001;

describe('translated by the node', () => {
  let datapath: Datapath;
  const { open, peer, fresh, close } = peersIn(lab);
  before(async () => {
    datapath = openLabDatapath(lab);
    open('alpha', 'beta', 'node', 'outside');
    for (const [host, loopback] of [
      ['0.0.0.0', '127.0.0.1'],
      ['::', '::1'],
    ] as const) {
      await peer('beta').listen(`web ${host}`, 80, { host });
      await peer('outside').listen(`web ${host}`, 80, { host });
      const proxy = { host: loopback, mark: marks.proxy, transparent: true, proxy: true };
      await peer('node').listen(`proxy ${host}`, port, proxy);
    }
    for (const family of families) {
      const iptables = (...words: string[]) =>
        command(family === 'IPv4' ? 'iptables' : 'ip6tables', '-t', 'nat', ...words);
      const { service, backend } = serviceIn(family);
      for (const chain of ['PREROUTING', 'OUTPUT'])
        iptables(
          '-A',
          chain,
          '-d',
          service,
          '-p',
          'tcp',
          '--dport',
          '80',
          '-j',
          'DNAT',
          '--to-destination',
          backend,
        );
      // As kube-proxy: who comes back to itself, and who leaves the node, gets the node's address.
      const beta = addressIn(family, workloads.beta);
      iptables('-A', 'POSTROUTING', '-s', beta, '-d', beta, '-j', 'MASQUERADE');
      iptables('-A', 'POSTROUTING', '-o', outside.link, '-j', 'MASQUERADE');
      command('ip', 'route', 'add', service, 'via', addressIn(family, outside));
      datapath.maps.ipcache.set(ipPrefix(gatewayOf(beta)), identityNumber(1));
    }
    datapath.maps.pairs.set({ egressSet: noSet, ingressSet: set }, { proxyPort: proxyPort(port) });
    datapath.maps.pairs.set({ egressSet: set, ingressSet: noSet }, { proxyPort: proxyPort(port) });
  });
  afterEach(() => {
    for (const name of Object.keys(workloads) as WorkloadName[]) apply(datapath, name, [], []);
  });
  after(async () => {
    await close();
    datapath.remove();
  });

  const greeted = async (from: string, to: string): Promise<string> => {
    const name = fresh();
    const connected = await peer(from).connect(name, to, 80, { timeout: 2 });
    if (!/^\d+$/.test(connected)) return connected;
    const greeting = (await peer(from).receive(name)).replace(/:\d+\n$/, '');
    const sent = await peer(from).send(name, 'again');
    assert.equal(sent === '5' ? await peer(from).receive(name) : sent, 'again');
    return greeting;
  };

  /** A connection that is in use until the programs ask whether the proxy still has it. */
  const stays = async (from: string, to: string): Promise<void> => {
    const name = fresh();
    assert.match(await peer(from).connect(name, to, 80), /^\d+$/);
    await peer(from).receive(name);
    const until = performance.now() + 1_500;
    while (performance.now() < until) {
      assert.equal(await peer(from).send(name, 'again'), '5');
      assert.equal(await peer(from).receive(name), 'again', `from ${from}`);
    }
  };

  for (const family of families) {
    const alpha = addressIn(family, workloads.alpha);
    const world = addressIn(family, outside);
    const { service } = serviceIn(family);
    const ingress = (identity: number, verdict: typeof allow | typeof l7) =>
      apply(datapath, 'beta', [{ direction: 'ingress', peer: identity, protocol: 6, port: 80, verdict }]);

    for (const [what, verdict] of [
      ['layer 4', allow],
      ['layer 7', l7],
    ] as const) {
      test(`a service of this node, ${what} (${family})`, async () => {
        ingress(1001, verdict);
        const before = datapath.counters().redirected;
        assert.equal(await greeted('alpha', service), alpha);
        assert.equal(datapath.counters().redirected - before, verdict === l7 ? 1n : 0n);
      });

      test(`out to the world under the node's address, ${what} (${family})`, async () => {
        apply(datapath, 'alpha', [{ direction: 'egress', peer: 2, protocol: 6, port: 80, verdict }]);
        assert.equal(await greeted('alpha', world), gatewayOf(world));
      });

      test(`the node itself to a service, ${what} (${family})`, async () => {
        ingress(1, verdict);
        assert.equal(await greeted('node', service), gatewayOf(world));
      });

      test(`the world to a service, ${what} (${family})`, async () => {
        command('ip', '-n', `${lab}-outside`, 'route', 'replace', service, 'via', gatewayOf(world));
        ingress(2, verdict);
        assert.equal(await greeted('outside', service), world);
      });
    }

    test(`through the proxy for longer than it is believed to be there (${family})`, async () => {
      command('ip', '-n', `${lab}-outside`, 'route', 'replace', service, 'via', gatewayOf(world));
      const rules = [1001, 1, 2].map((identity) => {
        return { direction: 'ingress', peer: identity, protocol: 6, port: 80, verdict: l7 } as const;
      });
      apply(datapath, 'beta', rules);
      await Promise.all(['alpha', 'node', 'outside'].map((from) => stays(from, service)));
      apply(datapath, 'alpha', [{ direction: 'egress', peer: 2, protocol: 6, port: 80, verdict: l7 }]);
      await stays('alpha', world);
    });

    test(`a workload to itself through a service (${family})`, async () => {
      ingress(1, allow);
      assert.equal(await greeted('beta', service), gatewayOf(addressIn(family, workloads.beta)));
    });

    test(`a service whose workload admits another (${family})`, async () => {
      ingress(1003, allow);
      assert.equal(await peer('alpha').connect(fresh(), service, 80, { timeout: 0.3 }), 'ETIMEDOUT');
    });
  }
});

function serviceIn(family: (typeof families)[number]): { service: string; backend: string } {
  return family === 'IPv4'
    ? { service: '10.96.0.1', backend: `${workloads.beta.address}:80` }
    : { service: 'fd96::1', backend: `[${workloads.beta.address6}]:80` };
}
