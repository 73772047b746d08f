import assert from 'node:assert/strict';
import { after, afterEach, before, describe, test } from 'node:test';
import {
  type Datapath,
  destroySockets,
  ipAddress,
  noSet,
  proxyPort,
  type Reason,
  setNumber,
} from '@weir/bpf';
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
  type Rule,
  type WorkloadName,
  workloads,
} from './lab.ts';
import { peersIn } from './peer.ts';

const lab = enterLab(import.meta.filename);
const tcp = 6;
const allow = { kind: 'allow' } as const;
const narrow = setNumber(7);
const wide = setNumber(8);
const sending = setNumber(21);
const port = 15001;
/** The proxy itself may have heard of the client's end first, and closed in order. */
const over = /^(ECONNRESET|END)$/;

const rule = (direction: Rule['direction'], peer: number, verdict: Rule['verdict']): Rule => ({
  direction,
  peer,
  protocol: tcp,
  port: 80,
  verdict,
});

for (const family of families)
  describe(`redirected connections, ${family}`, () => {
    let datapath: Datapath;
    const { open, peer, fresh, close } = peersIn(lab);
    const alpha = addressIn(family, workloads.alpha);
    const beta = addressIn(family, workloads.beta);
    const visitor = addressIn(family, outside);
    const any = family === 'IPv4' ? '0.0.0.0' : '::';
    const loopback = family === 'IPv4' ? '127.0.0.1' : '::1';
    const proxyListener = { host: loopback, mark: marks.proxy, transparent: true, proxy: true };
    /** Opens a connection, has it answered once, and gives its name. */
    const establish = async (from: string, to: string, source: string): Promise<string> => {
      const name = fresh();
      assert.match(await peer(from).connect(name, to, 80), /^\d+$/);
      assert.match(await peer(from).receive(name), new RegExp(`^${source.replaceAll('.', '\\.')}:`));
      return name;
    };
    /** Opens a connection, and gives its name and whom the server greeted. */
    const greeted = async (from: string, to: string): Promise<{ name: string; client: string }> => {
      const name = fresh();
      assert.match(await peer(from).connect(name, to, 80), /^\d+$/);
      return { name, client: (await peer(from).receive(name)).trim() };
    };
    const echoes = async (from: string, name: string): Promise<string> => {
      const sent = await peer(from).send(name, 'again');
      return sent === '5' ? peer(from).receive(name, 1) : sent;
    };
    const grew = async (reason: Reason, by: bigint, act: () => Promise<void>): Promise<void> => {
      const earlier = datapath.counters()[reason];
      await act();
      assert.equal(datapath.counters()[reason] - earlier, by, reason);
    };
    const pair = (egress: typeof noSet, ingress: typeof noSet, to = port) =>
      datapath.maps.pairs.set({ egressSet: egress, ingressSet: ingress }, { proxyPort: proxyPort(to) });

    before(async () => {
      datapath = openLabDatapath(lab);
      open('alpha', 'beta', 'node', 'outside');
      await peer('beta').listen('web', 80, { host: any });
      await peer('outside').listen('web', 80, { host: any });
      await peer('node').listen('proxy', port, proxyListener);
      await peer('node').listen('second', port + 1, proxyListener);
    });

    afterEach(() => {
      for (const name of Object.keys(workloads) as WorkloadName[]) apply(datapath, name, [], []);
      datapath.maps.pairs.deleteBatch([...datapath.maps.pairs.entries()].map(([key]) => key));
      datapath.maps.widenings.deleteBatch([...datapath.maps.widenings.entries()].map(([key]) => key));
    });

    after(async () => {
      await close();
      datapath.remove();
    });

    const ingressL7 = (peerIdentity: number, set = narrow) =>
      apply(datapath, 'beta', [rule('ingress', peerIdentity, { kind: 'l7', set })]);

    test('ingress of a workload here, one pass, the server sees the client', async () => {
      pair(noSet, narrow);
      ingressL7(1001);
      await grew('redirected', 1n, async () => {
        const name = await establish('alpha', beta, alpha);
        assert.equal(await echoes('alpha', name), 'again');
      });
    });

    test('both directions ask for L7: one class, one pass', async () => {
      pair(sending, narrow);
      ingressL7(1001);
      apply(datapath, 'alpha', [rule('egress', 1002, { kind: 'l7', set: sending })]);
      await grew('redirected', 1n, async () => {
        await establish('alpha', beta, alpha);
      });
    });

    test('L7 of the peer and of anybody: the set of the peer counts', async () => {
      pair(noSet, narrow);
      apply(datapath, 'beta', [
        rule('ingress', 1001, { kind: 'l7', set: narrow }),
        rule('ingress', 0, { kind: 'l7', set: wide }),
      ]);
      await grew('redirected', 1n, async () => {
        await establish('alpha', beta, alpha);
      });
    });

    test('egress to outside: the answer finds the proxy', async () => {
      pair(sending, noSet);
      apply(datapath, 'alpha', [rule('egress', 2, { kind: 'l7', set: sending })], ['egress', 'ingress']);
      await grew('redirected', 1n, async () => {
        const name = await establish('alpha', visitor, alpha);
        assert.equal(await echoes('alpha', name), 'again');
      });
    });

    test('ingress from outside', async () => {
      pair(noSet, narrow);
      ingressL7(2);
      await grew('redirected', 1n, async () => {
        const name = await establish('outside', beta, visitor);
        assert.equal(await echoes('outside', name), 'again');
      });
    });

    test('ingress from the node itself', async () => {
      pair(noSet, narrow);
      ingressL7(1);
      await grew('redirected', 1n, async () => {
        const name = await establish('node', beta, gatewayOf(beta));
        assert.equal(await echoes('node', name), 'again');
      });
    });

    test('nobody listens: refused', async () => {
      pair(noSet, narrow, 15099);
      ingressL7(1001);
      await grew('proxy-missing', 1n, async () => {
        assert.equal(await peer('alpha').connect(fresh(), beta, 80, { timeout: 0.3 }), 'ETIMEDOUT');
      });
    });

    test('the proxy has no socket any more: the client is reset, not left waiting', async () => {
      pair(noSet, narrow);
      ingressL7(1001);
      const name = fresh();
      const source = Number(await peer('alpha').connect(name, beta, 80));
      await peer('alpha').receive(name);
      const local = { address: ipAddress(beta), port: 80 };
      assert.equal(destroySockets([{ local, remote: { address: ipAddress(alpha), port: source } }]), 1);
      assert.equal(await peer('alpha').receive(name), 'ECONNRESET');
      // A segment that was on its way all the while.
      const gateway = await peer('alpha').ask({ op: 'mac', host: '10.71.1.1' });
      const ethernet = `${gateway.replaceAll(':', '')}0200000000010800`;
      const ip = '4500002800000000400600000a4701020a470202';
      const tcpHeader = `${source.toString(16).padStart(4, '0')}0050${'00000001000000015010ffff00000000'}`;
      const hex = withChecksums(`${ethernet}${ip}${tcpHeader}`);
      assert.equal(await peer('alpha').ask({ op: 'frame', interface: 'eth0', hex, reset: true }), 'true');
    });

    test('the proxy has no socket any more and nobody heard of it: who goes on sending is reset', async () => {
      pair(noSet, narrow);
      const l7 = { kind: 'l7', set: narrow } as const;
      apply(
        datapath,
        'beta',
        [1001, 1, 2].map((identity) => rule('ingress', identity, l7)),
      );
      const clients = { alpha, outside: visitor, node: gatewayOf(beta) };
      const iptables = family === 'IPv4' ? 'iptables' : 'ip6tables';
      const lost = ['OUTPUT', '-p', 'tcp', '--tcp-flags', 'RST', 'RST', '-j', 'DROP'];
      command(iptables, '-A', ...lost);
      for (const [from, address] of Object.entries(clients)) {
        const source = Number(await peer(from).connect(from, beta, 80));
        await peer(from).receive(from);
        const local = { address: ipAddress(beta), port: 80 };
        assert.equal(
          destroySockets([{ local, remote: { address: ipAddress(address), port: source } }]),
          1,
          from,
        );
      }
      command(iptables, '-D', ...lost);
      await Promise.all(
        Object.keys(clients).map(async (from) => {
          await peer(from).send(from, 'again');
          assert.equal(await peer(from).receive(from, 5), 'ECONNRESET', from);
        }),
      );
    });

    test('somebody listens who is not the proxy: refused', async () => {
      await peer('node').listen('foreign', 15098, { host: loopback, transparent: true });
      pair(noSet, narrow, 15098);
      ingressL7(1001);
      await grew('proxy-foreign', 1n, async () => {
        assert.equal(await peer('alpha').connect(fresh(), beta, 80, { timeout: 0.3 }), 'ETIMEDOUT');
      });
    });

    test('the pair is gone: refused', async () => {
      ingressL7(1001);
      await grew('l7-unavailable', 1n, async () => {
        assert.equal(await peer('alpha').connect(fresh(), beta, 80, { timeout: 0.3 }), 'ETIMEDOUT');
      });
    });

    test('a source port used again while the proxy is in TIME_WAIT', async () => {
      pair(noSet, narrow);
      ingressL7(1001);
      const first = fresh();
      assert.equal(await peer('alpha').connect(first, beta, 80, { source_port: 40001 }), '40001');
      await peer('alpha').receive(first);
      await peer('alpha').send(first, 'bye');
      assert.equal(await peer('alpha').receive(first), 'bye');
      assert.equal(await peer('alpha').receive(first), '', 'the server closes first');
      await peer('alpha').shut(first);
      const second = fresh();
      assert.equal(await peer('alpha').connect(second, beta, 80, { source_port: 40001 }), '40001');
      assert.match(await peer('alpha').receive(second), /:/);
    });

    describe('under a newer policy', () => {
      test('not proxied, still allowed: goes on', async () => {
        const name = await establish('alpha', beta, alpha);
        apply(datapath, 'beta', [rule('ingress', 1001, allow)]);
        await grew('rejudged', 1n, async () => {
          assert.equal(await echoes('alpha', name), 'again');
        });
      });

      test('not proxied, denied: reset at both ends', async () => {
        const name = await establish('alpha', beta, alpha);
        apply(datapath, 'beta', [rule('ingress', 1003, allow)]);
        const before = datapath.counters()['reset-sent'];
        assert.equal(await echoes('alpha', name), 'ECONNRESET');
        // Connections of earlier tests may still have something to say, and hear the same.
        assert.ok(datapath.counters()['reset-sent'] - before >= 2n);
        assert.ok(datapath.counters()['permission-lost'] > 0n);
      });

      test('not proxied, must be proxied: reset', async () => {
        const name = await establish('alpha', beta, alpha);
        pair(noSet, narrow);
        ingressL7(1001);
        assert.equal(await echoes('alpha', name), 'ECONNRESET');
        await establish('alpha', beta, alpha);
      });

      test('proxied, denied: reset', async () => {
        pair(noSet, narrow);
        ingressL7(1001);
        const name = await establish('alpha', beta, alpha);
        apply(datapath, 'beta', [rule('ingress', 1003, allow)]);
        assert.equal(await echoes('alpha', name), 'ECONNRESET');
      });

      test('proxied, same set: goes on', async () => {
        pair(noSet, narrow);
        ingressL7(1001);
        const name = await establish('alpha', beta, alpha);
        ingressL7(1001);
        assert.equal(await echoes('alpha', name), 'again');
      });

      test('proxied, allowed without L7: goes on', async () => {
        pair(noSet, narrow);
        ingressL7(1001);
        const name = await establish('alpha', beta, alpha);
        apply(datapath, 'beta', [rule('ingress', 1001, allow)]);
        assert.equal(await echoes('alpha', name), 'again');
      });

      test('proxied, a set at another port that is not known to permit as much: reset', async () => {
        pair(noSet, narrow);
        pair(noSet, wide, port + 1);
        ingressL7(1001);
        const name = await establish('alpha', beta, alpha);
        ingressL7(1001, wide);
        assert.equal(await echoes('alpha', name), 'ECONNRESET');
      });

      test('proxied, a set at another port that permits as much: goes on', async () => {
        pair(noSet, narrow);
        pair(noSet, wide, port + 1);
        datapath.maps.widenings.set({ from: narrow, to: wide }, true);
        ingressL7(1001);
        const name = await establish('alpha', beta, alpha);
        ingressL7(1001, wide);
        assert.equal(await echoes('alpha', name), 'again');
      });

      test('proxied, another set at the same port: the class moved, it goes on', async () => {
        pair(noSet, narrow);
        pair(noSet, wide);
        ingressL7(1001);
        const name = await establish('alpha', beta, alpha);
        ingressL7(1001, wide);
        assert.equal(await echoes('alpha', name), 'again');
      });

      test('proxied to outside, denied: reset', async () => {
        pair(sending, noSet);
        apply(datapath, 'alpha', [rule('egress', 2, { kind: 'l7', set: sending })]);
        const name = await establish('alpha', visitor, alpha);
        apply(datapath, 'alpha', [rule('egress', 1002, allow)]);
        assert.equal(await echoes('alpha', name), 'ECONNRESET');
      });

      test('proxied from outside, denied: reset', async () => {
        pair(noSet, narrow);
        ingressL7(2);
        const name = await establish('outside', beta, visitor);
        apply(datapath, 'beta', [rule('ingress', 1001, allow)]);
        assert.equal(await echoes('outside', name), 'ECONNRESET');
      });

      test('proxied and idle, denied: both ends are closed without a packet', async () => {
        pair(noSet, narrow);
        ingressL7(1001);
        const { name, client } = await greeted('alpha', beta);
        assert.equal(datapath.endRevoked(), 0);
        apply(datapath, 'beta', [rule('ingress', 1003, allow)]);
        assert.ok(datapath.endRevoked() >= 1, 'the proxy may have closed the other leg by then');
        assert.equal(await peer('alpha').receive(name), 'ECONNRESET');
        assert.match(await peer('beta').ask({ op: 'ended', client }), over);
        assert.equal(datapath.endRevoked(), 0);
      });

      test('proxied to outside and idle, denied: both ends are closed without a packet', async () => {
        pair(sending, noSet);
        apply(datapath, 'alpha', [rule('egress', 2, { kind: 'l7', set: sending })]);
        const { name, client } = await greeted('alpha', visitor);
        apply(datapath, 'alpha', [rule('egress', 1002, allow)]);
        assert.ok(datapath.endRevoked() >= 1);
        assert.equal(await peer('alpha').receive(name), 'ECONNRESET');
        assert.match(await peer('outside').ask({ op: 'ended', client }), over);
      });

      test('idle and still allowed: brought up to date, no socket is closed', async () => {
        pair(noSet, narrow);
        ingressL7(1001);
        const name = await establish('alpha', beta, alpha);
        ingressL7(1001);
        await grew('rejudged', 2n, async () => {
          assert.equal(datapath.endRevoked(), 0);
          assert.equal(await echoes('alpha', name), 'again');
        });
      });

      test('a new ipcache epoch alone: goes on', async () => {
        const name = await establish('alpha', beta, alpha);
        const earlier = datapath.counters().rejudged;
        datapath.bumpIpcacheEpoch();
        assert.equal(await echoes('alpha', name), 'again');
        // Late packets of connections that have ended may be judged anew as well.
        assert.ok(datapath.counters().rejudged > earlier);
      });
    });
  });

/** Fills in the checksums of an Ethernet, IPv4 and TCP frame without options. */
function withChecksums(hex: string): string {
  const frame = Buffer.from(hex, 'hex');
  const fold = (bytes: Uint8Array, seed = 0): number => {
    let total = seed;
    for (let at = 0; at < bytes.length; at += 2) total += ((bytes[at] ?? 0) << 8) | (bytes[at + 1] ?? 0);
    while (total > 0xffff) total = (total & 0xffff) + (total >>> 16);
    return total;
  };
  frame.writeUInt16BE(~fold(frame.subarray(14, 34)) & 0xffff, 24);
  const pseudo = fold(frame.subarray(26, 34)) + tcp + frame.length - 34;
  frame.writeUInt16BE(~fold(frame.subarray(34), pseudo) & 0xffff, 50);
  return frame.toString('hex');
}
