// Connections that the proxy opens to the outside. No program sees what opens one: it is known by the first answer,
// which may come where an earlier connection with its addresses and ports is remembered.
import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { type Datapath, noSet, openPacketRunner, proxyPort, setNumber } from '@weir/bpf';
import { type Ends, flags, tcpFrame } from './frame.ts';
import {
  addressIn,
  apply,
  bpffs,
  command,
  enterLab,
  families,
  linkOf,
  marks,
  namespacePath,
  openLabDatapath,
  outside,
  type Rule,
  workloads,
} from './lab.ts';
import { peersIn } from './peer.ts';

const lab = enterLab(import.meta.filename);
const allow = { kind: 'allow' } as const;
const set = setNumber(21);
const l7 = { kind: 'l7', set } as const;
const port = 15001;
/** Each is used by one test. */
let lastPort = 30200;

for (const family of families)
  for (const way of ['from-network', 'to-workload'] as const)
    describe(`legs to the outside, whose answers are seen by ${way} first (${family})`, () => {
      let datapath: Datapath;
      const { open, peer, fresh, close } = peersIn(lab);
      const alpha = addressIn(family, workloads.alpha);
      const visitor = addressIn(family, outside);
      const [host, loopback] = family === 'IPv4' ? ['0.0.0.0', '127.0.0.1'] : ['::', '::1'];

      const reopen = (): void => {
        datapath?.remove();
        datapath = openLabDatapath(lab);
        if (way === 'to-workload') datapath.detach(linkOf(outside.link));
      };
      before(async () => {
        reopen();
        open('alpha', 'node', 'outside');
        await peer('outside').listen('web', 80, { host });
      });
      after(async () => {
        await close();
        datapath.remove();
      });

      const egress = (peerIdentity: number, verdict: Rule['verdict']) =>
        apply(datapath, 'alpha', [{ direction: 'egress', peer: peerIdentity, verdict }]);
      let proxies = 0;
      /** From now on what alpha sends outside goes through the proxy, all of whose legs have this source port. */
      const legsFrom = async (legPort: number): Promise<void> => {
        proxies += 1;
        const at = port + proxies;
        const proxy = {
          host: loopback,
          mark: marks.proxy,
          transparent: true,
          proxy: true,
          leg_port: legPort,
        };
        await peer('node').listen(`proxy ${at}`, at, proxy);
        datapath.maps.pairs.set({ egressSet: set, ingressSet: noSet }, { proxyPort: proxyPort(at) });
        egress(2, l7);
      };
      /** A connection, and whom the server sees. */
      const connect = async (sourcePort?: number): Promise<{ name: string; client: string }> => {
        const name = fresh();
        const options = sourcePort === undefined ? {} : { source_port: sourcePort };
        assert.match(await peer('alpha').connect(name, visitor, 80, options), /^\d+$/);
        return { name, client: (await peer('alpha').receive(name, 5)).trim() };
      };
      const echoes = async (name: string): Promise<string> => {
        const sent = await peer('alpha').send(name, 'again');
        return sent === '5' ? peer('alpha').receive(name) : sent;
      };
      const isServed = async (legPort: number): Promise<void> => {
        const { name, client } = await connect();
        assert.equal(client, `${alpha}:${legPort}`);
        assert.equal(await echoes(name), 'again');
        await peer('alpha').shut(name);
      };
      const ended = (client: string): Promise<string> => peer('outside').ask({ op: 'ended', client });
      const freshPort = (): number => {
        lastPort += 1;
        return lastPort;
      };

      test('the port was that of a direct connection, which has ended', async () => {
        const legPort = freshPort();
        egress(2, allow);
        const direct = await connect(legPort);
        await peer('alpha').shut(direct.name);
        assert.equal(await ended(direct.client), 'END');
        await legsFrom(legPort);
        await isServed(legPort);
      });

      test('the port is that of a direct connection, which must go through the proxy now', async () => {
        const legPort = freshPort();
        egress(2, allow);
        const direct = await connect(legPort);
        await legsFrom(legPort);
        await isServed(legPort);
        assert.equal(await peer('alpha').receive(direct.name), 'ECONNRESET');
      });

      test('the port is that of a connection that the server alone remembers', async () => {
        const legPort = freshPort();
        egress(2, allow);
        await connect(legPort);
        reopen();
        await legsFrom(legPort);
        await isServed(legPort);
      });

      test('the port was that of a leg that lost its permission', async () => {
        const legPort = freshPort();
        await legsFrom(legPort);
        const { name, client } = await connect();
        egress(1003, allow);
        datapath.endRevoked();
        assert.equal(await echoes(name), 'ECONNRESET');
        assert.match(await ended(client), /^(END|ECONNRESET)$/);
        egress(2, l7);
        await isServed(legPort);
      });

      test('the port of an open leg is taken by a direct connection: the leg is reset, and the other opens', async () => {
        const legPort = freshPort();
        await legsFrom(legPort);
        const { name, client } = await connect();
        egress(2, allow);
        const direct = await connect(legPort);
        assert.equal(direct.client, client);
        assert.equal(await echoes(direct.name), 'again');
        // A proxy may hand a reset on as an end.
        assert.match(await peer('alpha').receive(name), /^(ECONNRESET)?$/);
        assert.ok(datapath.counters()['port-in-use'] > 0n);
      });

      test('the server refuses the leg: the proxy hears it at once', async () => {
        await legsFrom(freshPort());
        const name = fresh();
        assert.match(await peer('alpha').connect(name, visitor, 81), /^\d+$/);
        assert.equal(await peer('alpha').receive(name, 1), '');
      });

      test('nobody gets to the server, says ICMP: the proxy hears it', async () => {
        const [iptables, why] =
          family === 'IPv4' ? ['iptables', 'icmp-host-prohibited'] : ['ip6tables', 'icmp6-adm-prohibited'];
        const enter = [`--net=${namespacePath(lab, 'outside')}`, iptables];
        command(
          'nsenter',
          ...enter,
          '-A',
          'INPUT',
          '-p',
          'tcp',
          '--dport',
          '82',
          '-j',
          'REJECT',
          '--reject-with',
          why,
        );
        await legsFrom(freshPort());
        const name = fresh();
        assert.match(await peer('alpha').connect(name, visitor, 82), /^\d+$/);
        // The kernel passes over an error that comes before connect(2) has let go of the socket.
        assert.equal(await peer('alpha').receive(name, 4), '');
      });

      test('an open leg was forgotten: both ends are reset', async () => {
        const legPort = freshPort();
        await legsFrom(legPort);
        await connect();
        const back: Ends = { source: visitor, destination: alpha };
        const frame = tcpFrame(back, 80, legPort, flags.ack);
        const runner = openPacketRunner({ instance: lab, marks, bpffs });
        const link = way === 'from-network' ? outside.link : workloads.alpha.link;
        const { events } = runner.run(frame, { hook: way, ifindex: linkOf(link) });
        assert.deepEqual(
          events.map((event) => event.kind === 'drop' && event.reason),
          ['proxy-leg-unknown'],
        );
        assert.equal(runner.counters()['reset-sent'], 1n, 'the other is not sent in a dry run');
        runner.close();
      });
    });

for (const family of families)
  test(`the port of an open leg to a workload is taken by a direct connection from outside (${family})`, async () => {
    const datapath = openLabDatapath(lab);
    const { open, peer, close } = peersIn(lab);
    const beta = addressIn(family, workloads.beta);
    const [host, loopback] = family === 'IPv4' ? ['0.0.0.0', '127.0.0.1'] : ['::', '::1'];
    const legPort = 30300;
    const ingress = (verdict: Rule['verdict']) =>
      apply(datapath, 'beta', [{ direction: 'ingress', peer: 2, verdict }]);
    open('beta', 'node', 'outside');
    await peer('beta').listen('web', 80, { host });
    const proxy = { host: loopback, mark: marks.proxy, transparent: true, proxy: true, leg_port: legPort };
    await peer('node').listen('proxy', port, proxy);
    datapath.maps.pairs.set({ egressSet: noSet, ingressSet: set }, { proxyPort: proxyPort(port) });
    ingress(l7);
    assert.match(await peer('outside').connect('proxied', beta, 80), /^\d+$/);
    const client = await peer('outside').receive('proxied');
    assert.match(client, new RegExp(`:${legPort}\n$`));
    ingress(allow);
    assert.equal(
      await peer('outside').connect('direct', beta, 80, { source_port: legPort }),
      String(legPort),
    );
    assert.equal(await peer('outside').receive('direct'), client);
    assert.match(await peer('outside').receive('proxied'), /^(ECONNRESET)?$/);
    await close();
    datapath.remove();
  });
