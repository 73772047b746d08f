// Workloads that nobody announced, where it is known which addresses are workloads': gamma has neither programs nor an
// entry, as if it had come while the agent was down.
import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import {
  type Datapath,
  hostIdentity,
  identityNumber,
  ipAddress,
  ipPrefix,
  openDatapath,
  openPacketRunner,
  subjectNumber,
  traceConnection,
} from '@weir/bpf';
import {
  addressIn,
  bpffs,
  command,
  enterLab,
  families,
  gatewayOf,
  linkOf,
  marks,
  openLabDatapath,
  outside,
  workloads,
} from './lab.ts';
import { peersIn } from './peer.ts';

const lab = enterLab(import.meta.filename);
const { alpha, beta, gamma } = workloads;
const connected = /^\d+$/;
const refused = 'ETIMEDOUT';

describe('workloads that nobody announced', () => {
  let datapath: Datapath;
  const { open, peer, fresh, close } = peersIn(lab);
  const connects = (from: string, to: string, timeout = 0.3): Promise<string> =>
    peer(from).connect(fresh(), to, 80, { timeout });

  before(async () => {
    datapath = openLabDatapath(lab);
    datapath.detach(linkOf(gamma.link));
    const places = ['alpha', 'beta', 'gamma', 'node', 'outside'] as const;
    open(...places);
    for (const place of places) {
      await peer(place).listen('web 4', 80);
      await peer(place).listen('web 6', 80, { host: '::' });
    }
    for (const family of families) {
      datapath.maps.localAddresses.delete(ipAddress(addressIn(family, gamma)));
      for (const place of [alpha, beta, gamma])
        datapath.maps.ipcache.set(ipPrefix(gatewayOf(addressIn(family, place))), hostIdentity);
    }
  });
  after(async () => {
    await close();
    datapath.remove();
  });

  /** Whom gamma reaches, and who reaches gamma. */
  async function reached(family: (typeof families)[number]): Promise<Record<string, string>> {
    const own = addressIn(family, gamma);
    const to = { beta: addressIn(family, beta), outside: addressIn(family, outside), node: gatewayOf(own) };
    const results: Record<string, string> = {};
    for (const [name, address] of Object.entries(to)) {
      results[`gamma to ${name}`] = await connects('gamma', address);
      results[`${name} to gamma`] = await connects(name, own);
    }
    return results;
  }

  for (const family of families) {
    const prefix = `${addressIn(family, gamma)}/${family === 'IPv4' ? 24 : 64}`;
    const iptables = family === 'IPv4' ? 'iptables' : 'ip6tables';

    test(`are open while nobody says where workloads live (${family})`, async () => {
      for (const [way, result] of Object.entries(await reached(family))) assert.match(result, connected, way);
    });

    test(`are shut off, each packet by that reason, also where the node masquerades (${family})`, async () => {
      datapath.maps.workloadPrefixes.set(ipPrefix(prefix), true);
      datapath.guard(true);
      const earlier = datapath.counters()['workload-unknown'];
      for (const [way, result] of Object.entries(await reached(family))) assert.equal(result, refused, way);
      assert.ok(datapath.counters()['workload-unknown'] - earlier >= 6n);
      const rule = ['POSTROUTING', '-o', outside.link, '-j', 'MASQUERADE'];
      command(iptables, '-t', 'nat', '-A', ...rule);
      try {
        assert.equal(await connects('gamma', addressIn(family, outside)), refused);
        assert.match(await connects('alpha', addressIn(family, outside)), connected);
      } finally {
        command(iptables, '-t', 'nat', '-D', ...rule);
      }
      await peer('gamma').ask({
        op: 'udp',
        name: `udp ${family}`,
        host: family === 'IPv4' ? '0.0.0.0' : '::',
      });
      const before = datapath.counters()['workload-unknown'];
      await peer('gamma').ask({
        op: 'connect_udp',
        name: `udp ${family}`,
        host: addressIn(family, outside),
        port: 53,
      });
      await peer('gamma').send(`udp ${family}`, 'x');
      assert.equal(datapath.counters()['workload-unknown'] - before, 1n);
    });

    test(`are refused by a trace as well (${family})`, () => {
      const runner = openPacketRunner({ instance: lab, marks, bpffs });
      const trace = (from: string, to: string): unknown => {
        const ends = {
          protocol: 6,
          source: { address: ipAddress(from), port: 1 },
          destination: { address: ipAddress(to), port: 80 },
        };
        const { verdict } = traceConnection(runner, ends, {
          maps: datapath.maps,
          uplink: linkOf(outside.link),
        });
        return verdict.kind === 'denied' ? `${verdict.reason} ${verdict.direction}` : verdict.kind;
      };
      const [stranger, beyond] = [addressIn(family, gamma), addressIn(family, outside)];
      assert.equal(trace(stranger, beyond), 'workload-unknown egress');
      assert.equal(trace(beyond, stranger), 'workload-unknown ingress');
      assert.equal(trace(addressIn(family, alpha), stranger), 'workload-unknown egress');
      assert.equal(trace(beyond, beyond.replace(/2$/, '3')), 'not-judged');
      runner.close();
    });

    test(`leave those alone that are announced, the node itself and everybody else (${family})`, async () => {
      const wide = `${addressIn(family, alpha)}/${family === 'IPv4' ? 24 : 64}`;
      datapath.maps.workloadPrefixes.set(ipPrefix(wide), true);
      const own = addressIn(family, alpha);
      for (const to of [addressIn(family, beta), addressIn(family, outside), gatewayOf(own)])
        assert.match(await connects('alpha', to), connected, to);
      for (const from of ['beta', 'outside', 'node'])
        assert.match(await connects(from, own), connected, from);
    });

    test(`are shut off while no process holds the datapath, and by the next one (${family})`, async () => {
      datapath.close();
      assert.equal(await connects('gamma', addressIn(family, outside)), refused);
      datapath = openDatapath({ instance: lab, marks, bpffs });
      datapath.guard(true);
      datapath.guard(true);
      assert.equal(await connects('gamma', addressIn(family, outside)), refused);
    });

    test(`are open as soon as they are announced, or the guard goes (${family})`, async () => {
      const own = ipAddress(addressIn(family, gamma));
      datapath.maps.localAddresses.set(own, {
        ifindex: linkOf(gamma.link),
        identity: identityNumber(gamma.identity),
        subject: subjectNumber(gamma.subject),
      });
      assert.match(await connects('gamma', addressIn(family, outside)), connected);
      datapath.maps.localAddresses.delete(own);
      assert.equal(await connects('gamma', addressIn(family, outside)), refused);
      datapath.guard(false);
      // The kernel ends links at its leisure: a second SYN may be needed.
      assert.match(await connects('gamma', addressIn(family, outside), 3), connected);
      assert.equal(
        await connects('gamma', addressIn(family, beta)),
        refused,
        'the programs of others know the prefix',
      );
      datapath.maps.workloadPrefixes.delete(ipPrefix(prefix));
      assert.match(await connects('gamma', addressIn(family, beta)), connected);
    });
  }
});
