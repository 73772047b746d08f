import assert from 'node:assert/strict';
import { after, afterEach, before, describe, test } from 'node:test';
import {
  type Datapath,
  identityNumber,
  ipPrefix,
  type PolicyVerdict,
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
  namespacePath,
  nodeAddress,
  openLabDatapath,
  outside,
  type Rule,
  type WorkloadName,
  workloads,
} from './lab.ts';
import { peersIn } from './peer.ts';

const lab = enterLab(import.meta.filename);
const allow = { kind: 'allow' } as const;
const deny = { kind: 'deny' } as const;
const tcp = 6;
const udp = 17;
const icmp = { IPv4: 1, IPv6: 58 } as const;

type From = 'alpha' | 'node' | 'outside';

/** What `receive_from` says of a datagram. */
const received = (bytes: number, host: string, port: number): string => `${bytes},${host},${port}`;

interface Case {
  readonly name: string;
  readonly rules: Partial<Record<WorkloadName, readonly Rule[]>>;
  readonly from?: From;
  /** Port of beta that is tried; 80 and 8080 have servers. */
  readonly port?: number;
  readonly passes: boolean;
  readonly reason?: Reason;
}

const ingress = (peer: number, verdict: PolicyVerdict, port?: number, portPrefixLength?: number): Rule => ({
  direction: 'ingress',
  peer,
  protocol: port === undefined ? 0 : tcp,
  ...(port === undefined ? {} : { port }),
  ...(portPrefixLength === undefined ? {} : { portPrefixLength }),
  verdict,
});
const egress = (peer: number, verdict: PolicyVerdict, port?: number): Rule => ({
  ...ingress(peer, verdict, port),
  direction: 'egress',
});

const cases: readonly Case[] = [
  { name: 'nothing enforced', rules: {}, passes: true },
  { name: 'ingress allows the peer', rules: { beta: [ingress(1001, allow)] }, passes: true },
  { name: 'ingress allows any peer', rules: { beta: [ingress(0, allow)] }, passes: true },
  {
    name: 'ingress allows somebody else',
    rules: { beta: [ingress(1003, allow)] },
    passes: false,
    reason: 'policy-default-deny',
  },
  { name: 'ingress denies', rules: { beta: [ingress(1001, deny)] }, passes: false, reason: 'policy-deny' },
  {
    name: 'the table of the peer counts, not that of any peer: allowed',
    rules: { beta: [ingress(1001, allow), ingress(0, deny)] },
    passes: true,
  },
  {
    name: 'the table of the peer counts, not that of any peer: denied',
    rules: { beta: [ingress(1001, deny), ingress(0, allow)] },
    passes: false,
    reason: 'policy-deny',
  },
  {
    name: 'the table of the peer counts, not that of any peer: not mentioned',
    rules: { beta: [ingress(1001, allow, 8080), ingress(0, allow)] },
    passes: false,
    reason: 'policy-default-deny',
  },
  {
    name: 'a peer without a table has that of any peer',
    rules: { beta: [ingress(1003, deny), ingress(0, allow, 80)] },
    passes: true,
  },
  {
    name: 'the longer prefix of one identity counts: port before any',
    rules: { beta: [ingress(1001, deny), ingress(1001, allow, 80)] },
    passes: true,
  },
  {
    name: 'the longer prefix of one identity counts: another port',
    rules: { beta: [ingress(1001, deny), ingress(1001, allow, 8080)] },
    passes: false,
    reason: 'policy-deny',
  },
  { name: 'a range of ports holds its ports', rules: { beta: [ingress(1001, allow, 64, 11)] }, passes: true },
  {
    name: 'a range of ports holds no others',
    rules: { beta: [ingress(1001, allow, 64, 11)] },
    port: 8080,
    passes: false,
    reason: 'policy-default-deny',
  },
  {
    name: 'the longest of several ranges counts',
    rules: { beta: [ingress(1001, allow, 64, 10), ingress(1001, deny, 64, 11), ingress(1001, allow, 80)] },
    passes: true,
  },
  {
    name: 'a range counts where no longer one holds the port',
    rules: { beta: [ingress(1001, deny, 0, 0), ingress(1001, allow, 64, 11), ingress(1001, deny, 81)] },
    passes: true,
  },
  { name: 'any port of a protocol', rules: { beta: [ingress(1001, allow, 0, 0)] }, port: 8080, passes: true },
  {
    name: 'L7 without a proxy for the pair',
    rules: { beta: [ingress(1001, { kind: 'l7', set: setNumber(9) }, 80)] },
    passes: false,
    reason: 'l7-unavailable',
  },
  { name: 'egress allows', rules: { alpha: [egress(1002, allow, 80)] }, passes: true },
  {
    name: 'egress denies by default',
    rules: { alpha: [egress(1003, allow, 80)] },
    passes: false,
    reason: 'policy-default-deny',
  },
  {
    name: 'egress allows, ingress denies',
    rules: { alpha: [egress(1002, allow)], beta: [ingress(1001, deny)] },
    passes: false,
    reason: 'policy-deny',
  },
  {
    name: 'replies pass where the server may open nothing',
    rules: { beta: [ingress(1001, allow), egress(1003, allow)] },
    passes: true,
  },
  {
    name: 'replies pass where the client admits nobody',
    rules: { alpha: [egress(1002, allow), ingress(1003, allow)] },
    passes: true,
  },
  { name: 'the node is identity 1', from: 'node', rules: { beta: [ingress(1, allow)] }, passes: true },
  {
    name: 'the node is judged',
    from: 'node',
    rules: { beta: [ingress(1001, allow)] },
    passes: false,
    reason: 'policy-default-deny',
  },
  {
    name: 'unknown addresses are identity 2',
    from: 'outside',
    rules: { beta: [ingress(2, allow)] },
    passes: true,
  },
  {
    name: 'unknown addresses are judged',
    from: 'outside',
    rules: { beta: [ingress(1001, allow)] },
    passes: false,
    reason: 'policy-default-deny',
  },
];

describe('verdicts on real packets', () => {
  let datapath: Datapath;
  const { open, peer, fresh, close } = peersIn(lab);

  before(async () => {
    datapath = openLabDatapath(lab);
    open('alpha', 'beta', 'gamma', 'node', 'outside');
    for (const [family, host] of [
      ['IPv4', '0.0.0.0'],
      ['IPv6', '::'],
    ] as const) {
      await peer('beta').listen(`web ${family}`, 80, { host });
      await peer('beta').listen(`other ${family}`, 8080, { host });
      await peer('outside').listen(`web ${family}`, 80, { host });
      await peer('beta').ask({ op: 'udp', name: `dns ${family}`, port: 53, host });
    }
  });

  afterEach(() => {
    for (const name of Object.keys(workloads) as WorkloadName[]) apply(datapath, name, [], []);
    for (const [prefix] of [...datapath.maps.ipcache.entries()]) datapath.maps.ipcache.delete(prefix);
  });

  after(async () => {
    await close();
    datapath.remove();
  });

  for (const family of families) {
    for (const { name, rules, from = 'alpha', port = 80, passes, reason } of cases) {
      test(`${name} (${family})`, async () => {
        for (const [workload, list] of Object.entries(rules)) apply(datapath, workload as WorkloadName, list);
        const earlier = datapath.counters();
        const connection = fresh();
        const server = addressIn(family, workloads.beta);
        const answer = await peer(from).connect(connection, server, port, { timeout: passes ? 2 : 0.2 });
        const later = datapath.counters();
        if (passes) {
          assert.match(answer, /^\d+$/);
          const source =
            from === 'node'
              ? gatewayOf(server)
              : addressIn(family, from === 'alpha' ? workloads.alpha : outside);
          assert.match(
            await peer(from).receive(connection),
            new RegExp(`^${source.replaceAll('.', '\\.')}:\\d+\n`),
          );
          assert.equal(later.redirected, earlier.redirected, 'nothing went to the proxy');
        } else {
          assert.equal(answer, 'ETIMEDOUT');
          assert.ok(reason !== undefined && later[reason] > earlier[reason], `${reason} is counted`);
        }
        await peer(from).shut(connection);
      });
    }
  }

  test('identities of the ipcache, the longest prefix first', async () => {
    datapath.maps.ipcache.set(ipPrefix('10.71.0.0/16'), identityNumber(5001));
    datapath.maps.ipcache.set(ipPrefix(outside.address), identityNumber(5002));
    apply(datapath, 'beta', [ingress(5002, allow)]);
    assert.match(await peer('outside').connect(fresh(), workloads.beta.address, 80), /^\d+$/);
    datapath.maps.ipcache.delete(ipPrefix(outside.address));
    assert.equal(
      await peer('outside').connect(fresh(), workloads.beta.address, 80, { timeout: 0.2 }),
      'ETIMEDOUT',
    );
  });

  test('egress to outside', async () => {
    apply(datapath, 'alpha', [egress(2, allow, 80)]);
    assert.match(await peer('alpha').connect(fresh(), outside.address, 80), /^\d+$/);
    apply(datapath, 'alpha', [egress(2, deny, 80)]);
    assert.equal(await peer('alpha').connect(fresh(), outside.address, 80, { timeout: 0.2 }), 'ETIMEDOUT');
  });

  for (const family of families) {
    const alpha = addressIn(family, workloads.alpha);
    const beta = addressIn(family, workloads.beta);
    const dns = `dns ${family}`;
    const any = family === 'IPv4' ? '0.0.0.0' : '::';
    const echo = family === 'IPv4' ? { request: 8, reply: '0' } : { request: 128, reply: '129' };

    test(`UDP: a request passes with its reply, another port does not (${family})`, async () => {
      apply(datapath, 'beta', [
        { direction: 'ingress', peer: 1001, protocol: udp, port: 53, verdict: allow },
      ]);
      const port = Number(await peer('alpha').ask({ op: 'udp', name: 'u', host: any }));
      await peer('alpha').ask({ op: 'send_to', name: 'u', host: beta, port: 53 });
      assert.equal(await peer('beta').ask({ op: 'receive_from', name: dns }), received(1, alpha, port));
      apply(datapath, 'beta', [
        { direction: 'ingress', peer: 1001, protocol: udp, port: 53, verdict: allow },
        { direction: 'egress', peer: 1003, verdict: allow },
      ]);
      await peer('beta').ask({ op: 'send_to', name: dns, host: alpha, port });
      assert.equal(await peer('alpha').ask({ op: 'receive_from', name: 'u' }), received(1, beta, 53));
      await peer('beta').ask({ op: 'send_to', name: dns, host: alpha, port: 5353 });
      assert.ok(datapath.counters()['policy-default-deny'] > 0n);
    });

    test(`UDP in fragments: they follow the first (${family})`, async () => {
      apply(datapath, 'beta', [
        { direction: 'ingress', peer: 1001, protocol: udp, port: 53, verdict: allow },
      ]);
      await peer('alpha').ask({ op: 'udp', name: 'big', host: any });
      await peer('alpha').ask({
        op: 'send_to',
        name: 'big',
        host: beta,
        port: 53,
        bytes: 8000,
      });
      assert.match(await peer('beta').ask({ op: 'receive_from', name: dns }), /^8000,/);
      const earlier = datapath.counters();
      await peer('alpha').ask({
        op: 'send_to',
        name: 'big',
        host: beta,
        port: 54,
        bytes: 8000,
      });
      const later = datapath.counters();
      assert.ok(later['policy-default-deny'] > earlier['policy-default-deny']);
      assert.ok(later['fragment-unknown'] > earlier['fragment-unknown']);
    });

    test(`ICMP: by its type (${family})`, async () => {
      apply(datapath, 'beta', [
        { direction: 'ingress', peer: 1001, protocol: icmp[family], port: echo.request, verdict: allow },
      ]);
      assert.equal(await peer('alpha').ask({ op: 'ping', host: beta }), echo.reply);
      apply(datapath, 'beta', [
        { direction: 'ingress', peer: 1001, protocol: icmp[family], port: 13, verdict: allow },
      ]);
      assert.equal(await peer('alpha').ask({ op: 'ping', host: beta, timeout: 0.2 }), 'ETIMEDOUT');
    });

    test(`ICMP errors that answer a tracked packet pass: a closed port is refused (${family})`, async () => {
      apply(datapath, 'beta', [{ direction: 'ingress', peer: 1001, protocol: udp, verdict: allow }]);
      apply(datapath, 'alpha', [egress(1002, allow)], ['ingress', 'egress']);
      await peer('alpha').ask({ op: 'udp', name: 'closed', host: any });
      await peer('alpha').ask({ op: 'connect_udp', name: 'closed', host: beta, port: 99 });
      await peer('alpha').send('closed', 'x');
      assert.equal(await peer('alpha').receive('closed', 1), 'ECONNREFUSED');
    });
  }

  for (const family of families) {
    for (const [what, mtu, packets] of [
      ['packets that the stack has joined (GSO)', 1500, 65536],
      ['joined packets of more than 64 KiB (BIG TCP)', 1500, 196608],
      ['jumbo frames', 9000, 65536],
    ] as const) {
      // For IPv4 the iproute2 of Debian 12 cannot set it.
      if (family === 'IPv4' && packets > 65536) continue;
      test(`${what}: every byte arrives (${family})`, async () => {
        apply(datapath, 'beta', [ingress(1001, allow, 80)]);
        for (const { link } of [workloads.alpha, workloads.beta])
          command('ip', 'link', 'set', link, 'mtu', String(mtu), 'gso_max_size', String(packets));
        for (const place of ['alpha', 'beta'] as const)
          command(
            ...(['nsenter', `--net=${namespacePath(lab, place)}`, 'ip', 'link', 'set', 'eth0'] as const),
            ...['mtu', String(mtu), 'gso_max_size', String(packets)],
          );
        const name = fresh();
        assert.match(await peer('alpha').connect(name, addressIn(family, workloads.beta), 80), /^\d+$/);
        await peer('alpha').receive(name);
        assert.equal(await peer('alpha').ask({ op: 'echo', name, bytes: 4 << 20 }), String(4 << 20));
        await peer('alpha').shut(name);
      });
    }
  }

  test('an address that the workload does not own', async () => {
    const earlier = datapath.counters();
    const mac = '020000000000';
    // IPv4, UDP 10.71.3.2:1000 (gamma's address) to 10.71.2.2:53.
    const frame = `${mac}${mac}0800${'4500001c000040004011'}0000${'0a470302'}${'0a470202'}${'03e80035'}${'00080000'}`;
    await peer('alpha').ask({ op: 'frame', interface: 'eth0', hex: frame });
    assert.equal(datapath.counters()['source-not-owned'], earlier['source-not-owned'] + 1n);
  });

  test("a workload's address on a packet from outside", async () => {
    const earlier = datapath.counters();
    assert.match(await peer('outside').connect(fresh(), workloads.beta.address, 80), /^\d+$/);
    const gateway = (await peer('outside').ask({ op: 'mac', host: '10.71.9.1' })).replaceAll(':', '');
    const frame = `${gateway}02000000000108004500001c00004000401122b6${'0a470102'}${'0a470202'}${'03e80035'}${'00080000'}`;
    const bytes = Buffer.from(frame, 'hex');
    let sum = 0;
    for (let at = 14; at < 34; at += 2) if (at !== 24) sum += bytes.readUInt16BE(at);
    bytes.writeUInt16BE(~((sum & 0xffff) + (sum >>> 16)) & 0xffff, 24);
    await peer('outside').ask({ op: 'frame', interface: 'eth0', hex: bytes.toString('hex') });
    assert.equal(datapath.counters()['source-not-owned'], earlier['source-not-owned'] + 1n);
  });

  for (const [what, hex, reason] of [
    ['IPX', `8137${'00'.repeat(46)}`, 'family-unsupported'],
    ['a header cut short', `080045000014${'00'.repeat(4)}40060000${'0a470102'}${'0a470202'}`, 'malformed'],
    ['an IP header length of nothing', `080041000014${'00'.repeat(40)}`, 'malformed'],
  ] as const) {
    test(`${what} is dropped: ${reason}`, async () => {
      const earlier = datapath.counters();
      await peer('alpha').ask({ op: 'frame', interface: 'eth0', hex: `${'02'.repeat(12)}${hex}` });
      assert.equal(datapath.counters()[reason], earlier[reason] + 1n);
    });
  }

  test('a workload that no endpoint entry knows sends nothing', async () => {
    const [entry] = [...datapath.maps.endpoints.entries()].filter(([, value]) => value.identity === 1003);
    datapath.maps.endpoints.delete(entry![0]);
    const addresses = [...datapath.maps.localAddresses.entries()].filter(
      ([, value]) => value.identity === 1003,
    );
    datapath.maps.localAddresses.deleteBatch(addresses.map(([address]) => address));
    const earlier = datapath.counters();
    assert.equal(await peer('gamma').connect(fresh(), nodeAddress, 1, { timeout: 0.2 }), 'ETIMEDOUT');
    assert.ok(datapath.counters()['endpoint-unknown'] > earlier['endpoint-unknown']);
    datapath.maps.endpoints.set(...entry!);
    datapath.maps.localAddresses.setBatch(addresses);
    assert.equal(await peer('gamma').connect(fresh(), nodeAddress, 1, { timeout: 5 }), 'ECONNREFUSED');
  });
});
