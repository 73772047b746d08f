// What connection tracking decides where two things meet: ports used twice, segments sent twice, both ends at once,
// one direction only, a table without room.
import assert from 'node:assert/strict';
import { after, afterEach, before, describe, test } from 'node:test';
import {
  type Datapath,
  noSet,
  openPacketRunner,
  type PacketRun,
  type PacketRunner,
  proxyPort,
  setNumber,
} from '@weir/bpf';
import { waitUntil } from '../integration/wait-until.ts';
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
/** As many as there are ports on the node, so that each of the proxy's legs must take one that a client has. */
const sourcePorts = [40100, 40101, 40102, 40103];

describe('connection tracking', () => {
  let datapath: Datapath;
  let runner: PacketRunner;
  const { open, peer, fresh, close } = peersIn(lab);

  before(async () => {
    // Room for a few connections only.
    datapath = openLabDatapath(lab, { capacity: { connections: 256 } });
    runner = openPacketRunner({ instance: lab, marks, bpffs });
    open('alpha', 'beta', 'gamma', 'node');
    for (const [host, loopback] of [
      ['0.0.0.0', '127.0.0.1'],
      ['::', '::1'],
    ] as const) {
      await peer('beta').listen(`web ${host}`, 80, { host });
      await peer('beta').ask({ op: 'udp', name: `sink ${host}`, port: 9, host });
      const proxy = { host: loopback, mark: marks.proxy, transparent: true, proxy: true };
      await peer('node').listen(`proxy ${host}`, port, proxy);
    }
    datapath.maps.pairs.set({ egressSet: noSet, ingressSet: set }, { proxyPort: proxyPort(port) });
  });
  afterEach(() => {
    for (const name of Object.keys(workloads) as WorkloadName[]) apply(datapath, name, [], []);
    runner.forget();
  });
  after(async () => {
    await close();
    runner.close();
    datapath.remove();
  });

  const connect = async (to: string, sourcePort?: number): Promise<string> => {
    const name = fresh();
    const options = sourcePort === undefined ? {} : { source_port: sourcePort };
    assert.match(await peer('alpha').connect(name, to, 80, options), /^\d+$/);
    assert.match(await peer('alpha').receive(name), /\n$/);
    return name;
  };
  const echoes = async (name: string): Promise<string> => {
    const sent = await peer('alpha').send(name, 'again');
    return sent === '5' ? peer('alpha').receive(name, 2) : sent;
  };
  const ingress = (verdict: typeof allow | typeof l7) =>
    apply(datapath, 'beta', [{ direction: 'ingress', peer: 1001, protocol: 6, port: 80, verdict }]);

  for (const family of families) {
    const alpha = addressIn(family, workloads.alpha);
    const beta = addressIn(family, workloads.beta);
    const there: Ends = { source: alpha, destination: beta };
    const back: Ends = { source: beta, destination: alpha };
    const wordOf = ({ action, events: [event] }: PacketRun): string =>
      event?.kind === 'drop' ? event.reason : (event?.kind ?? action);
    const sends = (name: 'alpha' | 'beta', packet: Uint8Array): string =>
      wordOf(runner.run(packet, { hook: 'from-workload', ifindex: linkOf(workloads[name].link) }));
    /** From outside to beta; what is sent round goes round. */
    const arrives = (packet: Uint8Array): string => {
      const ifindex = linkOf(workloads.beta.link);
      const first = runner.run(packet, { hook: 'to-workload', ifindex, cameThrough: linkOf(outside.link) });
      if (first.action !== 'round' || first.events.length > 0) return wordOf(first);
      return wordOf(runner.run(first.packet, { hook: 'from-workload', ifindex, mark: first.mark }));
    };

    test(`a client and the proxy's leg have one 4-tuple: both work, and both end (${family})`, async () => {
      command('sysctl', '-qw', `net.ipv4.ip_local_port_range=${sourcePorts[0]} ${sourcePorts.at(-1)}`);
      ingress(l7);
      const names: string[] = [];
      for (const sourcePort of sourcePorts) names.push(await connect(beta, sourcePort));
      for (let round = 0; round < 5; round += 1) {
        for (const name of names) assert.equal(await echoes(name), 'again');
      }
      apply(datapath, 'beta', [{ direction: 'ingress', peer: 1003, verdict: allow }]);
      // The proxy closes the one when it hears that the other is gone.
      assert.ok(datapath.endRevoked() >= sourcePorts.length);
      for (const name of names) assert.equal(await peer('alpha').receive(name), 'ECONNRESET');
      command('sysctl', '-qw', 'net.ipv4.ip_local_port_range=32768 60999');
    });

    test(`a client and the proxy's leg have one 4-tuple, and the proxy has lost one: that one is reset (${family})`, async () => {
      // Not of the range that the proxy's legs take theirs from.
      const sourcePort = family === 'IPv4' ? 30100 : 30101;
      ingress(l7);
      const client = await connect(beta, sourcePort);
      assert.equal(sends('alpha', tcpFrame(there, sourcePort, 80)), 'redirect');
      for (const bits of [flags.ack, flags.fin | flags.ack, flags.fin | flags.ack])
        assert.equal(sends('beta', tcpFrame(back, 80, sourcePort, bits)), 'proxy-leg-unknown');
      assert.equal(sends('alpha', tcpFrame(there, sourcePort, 80, flags.ack)), 'pass', 'the client goes on');
      assert.equal(
        sends('beta', tcpFrame(back, 80, sourcePort, flags.rst)),
        'pass',
        'nobody answers a reset',
      );
      assert.equal(sends('beta', tcpFrame(back, 80, sourcePort, flags.ack)), 'proxy-leg-unknown');
      assert.equal(
        sends('alpha', tcpFrame(there, sourcePort, 80, flags.ack)),
        'pass',
        'the client still goes on',
      );
      await peer('alpha').shut(client);
    });

    test(`the proxy has finished and forgotten a connection: who goes on sending is reset (${family})`, () => {
      ingress(l7);
      const bits = flags.fin | flags.ack;
      assert.equal(sends('alpha', tcpFrame(there, 1000, 80)), 'redirect');
      assert.equal(sends('alpha', tcpFrame(there, 1000, 80, bits)), 'proxy-leg-unknown');
      assert.equal(
        sends('alpha', tcpFrame(there, 1000, 80, bits)),
        'proxy-leg-unknown',
        'and when it is repeated',
      );
    });

    test(`the proxy has forgotten a connection: a peer that goes on sending is reset, by any way in (${family})`, async () => {
      const from: Ends = { source: addressIn(family, outside), destination: beta };
      apply(datapath, 'beta', [{ direction: 'ingress', peer: 2, protocol: 6, port: 80, verdict: l7 }]);
      assert.equal(arrives(tcpFrame(from, 1000, 80)), 'redirect');
      assert.equal(arrives(tcpFrame(from, 1000, 80, flags.fin | flags.ack)), 'proxy-leg-unknown');
      assert.equal(arrives(tcpFrame(from, 1000, 80, flags.rst)), 'pass', 'nobody answers a reset');
      // Nobody has finished: it is asked once a second.
      assert.equal(arrives(tcpFrame(from, 1001, 80)), 'redirect');
      await waitUntil('the reset', 5_000, async () => {
        const seen = arrives(tcpFrame(from, 1001, 80, flags.ack));
        return seen === 'proxy-leg-unknown' ? { done: true } : { seen };
      });
    });

    test(`a reset towards a workload, of a connection that the proxy holds, leads nowhere (${family})`, () => {
      const away: Ends = { source: alpha, destination: addressIn(family, outside) };
      const home: Ends = { source: away.destination, destination: alpha };
      const sending = setNumber(21);
      datapath.maps.pairs.set({ egressSet: sending, ingressSet: noSet }, { proxyPort: proxyPort(port) });
      apply(datapath, 'alpha', [{ direction: 'egress', peer: 2, verdict: { kind: 'l7', set: sending } }]);
      assert.equal(sends('alpha', tcpFrame(away, 1000, 80)), 'redirect');
      const place = { hook: 'to-workload', ifindex: linkOf(workloads.alpha.link) } as const;
      const round = runner.run(tcpFrame(home, 80, 1000, flags.rst | flags.ack), place);
      assert.equal(round.action, 'round');
      const run = runner.run(round.packet, { ...place, hook: 'from-workload', mark: round.mark });
      assert.equal(wordOf(run), 'pass');
      assert.equal(run.mark, marks.deliver, 'else it would be routed here again, until its TTL ends');
    });

    test(`a client and the proxy's leg have one 4-tuple, and one seems reset: the sweep finds the other (${family})`, async () => {
      command('sysctl', '-qw', `net.ipv4.ip_local_port_range=${sourcePorts[0]} ${sourcePorts.at(-1)}`);
      ingress(l7);
      const names: string[] = [];
      for (const sourcePort of sourcePorts) names.push(await connect(beta, sourcePort));
      // Of no sequence that anybody waits for: the sockets live on.
      for (const sourcePort of sourcePorts) {
        const hex = Buffer.from(tcpFrame(back, 80, sourcePort, flags.rst)).toString('hex');
        await peer('beta').ask({ op: 'frame', interface: 'eth0', hex });
      }
      for (const name of names) assert.equal(await echoes(name), 'again');
      apply(datapath, 'beta', [{ direction: 'ingress', peer: 1003, verdict: allow }]);
      assert.ok(datapath.endRevoked() >= sourcePorts.length);
      for (const name of names) assert.equal(await peer('alpha').receive(name), 'ECONNRESET');
      command('sysctl', '-qw', 'net.ipv4.ip_local_port_range=32768 60999');
    });

    test(`a source port is used again while the server is in TIME_WAIT (${family})`, async () => {
      ingress(allow);
      for (let round = 0; round < 3; round += 1) {
        const name = await connect(beta, 40200);
        await peer('alpha').send(name, 'bye');
        assert.equal(await peer('alpha').receive(name), 'bye');
        assert.equal(await peer('alpha').receive(name), '', 'the server closes first');
        await peer('alpha').shut(name);
      }
    });

    test(`a SYN that is sent again is judged again, and changes nothing (${family})`, () => {
      const syn = tcpFrame(there, 1000, 80);
      ingress(allow);
      assert.deepEqual([sends('alpha', syn), sends('alpha', syn)], ['allow', 'allow']);
      assert.equal([...runner.connections()].length, 1);
      runner.forget();
      ingress(l7);
      assert.deepEqual([sends('alpha', syn), sends('alpha', syn)], ['redirect', 'redirect']);
      assert.equal([...runner.connections()].length, 1);
      apply(datapath, 'beta', [{ direction: 'ingress', peer: 1003, verdict: allow }]);
      assert.equal(sends('alpha', syn), 'policy-default-deny');
    });

    test(`both ends open at once: each is judged, and the first keeps the entry (${family})`, () => {
      assert.equal(sends('alpha', tcpFrame(there, 1000, 2000)), 'allow');
      assert.equal(sends('beta', tcpFrame(back, 2000, 1000)), 'pass');
      assert.deepEqual(
        [...runner.connections()].map(({ source }) => source.address),
        [alpha],
      );
      apply(datapath, 'alpha', [{ direction: 'ingress', peer: 1003, verdict: allow }]);
      assert.equal(sends('beta', tcpFrame(back, 2000, 1000)), 'policy-default-deny');
      apply(datapath, 'alpha', [{ direction: 'ingress', peer: 1002, protocol: 6, port: 1000, verdict: l7 }]);
      assert.equal(
        sends('beta', tcpFrame(back, 2000, 1000)),
        'proxy-required',
        'the proxy cannot stand between them',
      );
    });

    test(`one direction alone: a segment of nobody is judged as its sender's (${family})`, () => {
      apply(datapath, 'beta', [
        { direction: 'ingress', peer: 1001, protocol: 6, port: 80, verdict: allow },
        { direction: 'egress', peer: 1003, verdict: allow },
      ]);
      assert.equal(sends('beta', tcpFrame(back, 80, 1000, flags.syn | flags.ack)), 'no-connection');
      assert.equal(sends('beta', tcpFrame(back, 80, 1000, flags.rst)), 'no-connection');
      assert.equal(sends('beta', tcpFrame(back, 80, 1000, flags.ack)), 'policy-default-deny');
      assert.equal(
        sends('alpha', tcpFrame(there, 1000, 80, flags.ack)),
        'allow',
        'taken for one that was forgotten',
      );
      assert.equal(sends('beta', tcpFrame(back, 80, 1000, flags.ack)), 'pass', 'its answer');
    });

    test(`the table is full: direct connections go on, proxied ones end (${family})`, async () => {
      ingress(l7);
      const proxied = await connect(beta);
      ingress(allow);
      const direct = await connect(beta);
      apply(datapath, 'beta', [{ direction: 'ingress', peer: 0, verdict: allow }]);
      // The kernel does not drop strictly the least used.
      const forgotten = (): boolean =>
        ![...datapath.connections()].some(({ source, proxyPort: through }) => {
          return source.address === alpha && through !== undefined;
        });
      for (let flood = 0; flood < 20 && !(flood > 0 && forgotten()); flood += 1)
        await floodTable(family === 'IPv4' ? '0.0.0.0' : '::', beta);
      assert.equal(await echoes(direct), 'again');
      assert.match(await echoes(proxied), /^(ECONNRESET|EPIPE|)$/);
    });
  }

  /** Opens more flows from gamma than the table has room for. */
  async function floodTable(host: string, to: string): Promise<void> {
    for (let flow = 0; flow < 2_000; flow += 1) {
      await peer('gamma').ask({ op: 'udp', name: 'flood', host });
      await peer('gamma').ask({ op: 'send_to', name: 'flood', host: to, port: 9 });
      await peer('gamma').ask({ op: 'close', name: 'flood' });
    }
  }
});
