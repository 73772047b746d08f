import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync } from 'node:fs';
import { type AddressInfo, createServer, type Server } from 'node:net';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import {
  BpfError,
  type Datapath,
  type DatapathEvent,
  destroySockets,
  generation,
  identityNumber,
  ifindex,
  ipAddress,
  ipPrefix,
  lengthsOf,
  listeningPorts,
  noSet,
  openDatapath,
  openGeneration,
  probeFeatures,
  proxyPort,
  setNumber,
  subjectNumber,
  type TableKey,
  tableNumber,
  watchLinks,
  watchProcess,
} from '@weir/bpf';
import {
  apply,
  bpffs,
  command,
  enterLab,
  linkOf,
  marks,
  openLabDatapath,
  outside,
  workloads,
} from './lab.ts';
import { openPeer, type Peer } from './peer.ts';

const lab = enterLab(import.meta.filename);
const tcp = 6;
const allow = { kind: 'allow' } as const;
const pins = join(bpffs, 'weir', lab);
const filters = (link: string) =>
  ['ingress', 'egress'].map((hook) => command('tc', 'filter', 'show', 'dev', link, hook).includes('bpf'));

function tableKey(fields: Partial<TableKey>): TableKey {
  return { table: tableNumber(900), protocol: 0, port: 0, portPrefixLength: 0, ...fields };
}

describe('maps', () => {
  let datapath: Datapath;
  before(() => {
    datapath = openLabDatapath(lab);
  });
  after(() => datapath.remove());

  test('who listens is known by the version of IP', async () => {
    const listen = async (host: string): Promise<{ port: number; server: Server }> => {
      const server = createServer().listen(0, host);
      await once(server, 'listening');
      return { port: (server.address() as AddressInfo).port, server };
    };
    const [four, six] = [await listen('127.0.0.1'), await listen('::1')];
    assert.deepEqual([listeningPorts(4).has(four.port), listeningPorts(6).has(six.port)], [true, true]);
    assert.deepEqual([listeningPorts(6).has(four.port), listeningPorts(4).has(six.port)], [false, false]);
    for (const { server } of [four, six]) server.close();
    assert.equal(listeningPorts(4).has(four.port), false);
  });

  test('what is written is read: every map', () => {
    const { maps } = datapath;
    const endpoint = { identity: identityNumber(4294967295), subject: subjectNumber(7) };
    maps.endpoints.set(ifindex(77), endpoint);
    assert.deepEqual(maps.endpoints.get(ifindex(77)), endpoint);
    for (const text of ['10.0.0.1', 'fd00::1', '::', '1:2:3:4:5:6:7:8']) {
      const local = { ...endpoint, ifindex: ifindex(77), denyAction: 'reset' } as const;
      maps.localAddresses.set(ipAddress(text), local);
      assert.deepEqual(maps.localAddresses.get(ipAddress(text)), local);
      assert.ok(
        [...maps.localAddresses.entries()].some(([address]) => address === text),
        text,
      );
    }
    for (const text of ['10.0.0.0/8', '0.0.0.0/0', 'fd00::/8', '::/0']) {
      const prefix = ipPrefix(text);
      maps.ipcache.set(prefix, identityNumber(12));
      assert.ok(
        [...maps.ipcache.entries()].some(
          ([found]) => found.address === prefix.address && found.length === prefix.length,
        ),
        text,
      );
    }
    const subject = { ingress: generation(3), egress: openGeneration };
    maps.subjects.set(subjectNumber(9), subject);
    assert.deepEqual(maps.subjects.get(subjectNumber(9)), subject);
    assert.ok([...maps.subjects.entries()].some(([number]) => number === 9));
    assert.equal(maps.subjects.delete(subjectNumber(9)), true);
    assert.equal(maps.subjects.get(subjectNumber(9)), undefined);
    assert.equal(maps.subjects.delete(subjectNumber(9)), false);
    maps.pairs.set({ egressSet: noSet, ingressSet: setNumber(5) }, { proxyPort: proxyPort(15001) });
    assert.deepEqual(maps.pairs.get({ egressSet: noSet, ingressSet: setNumber(5) }), { proxyPort: 15001 });
    maps.widenings.set({ from: setNumber(1), to: setNumber(2) }, true);
    assert.equal(maps.widenings.get({ from: setNumber(1), to: setNumber(2) }), true);
    assert.equal(maps.widenings.get({ from: setNumber(2), to: setNumber(1) }), undefined);
  });

  test('policy keys of every form survive the trip', () => {
    const keys = [
      tableKey({}),
      tableKey({ protocol: tcp }),
      tableKey({ protocol: tcp, port: 80, portPrefixLength: 16 }),
      tableKey({ protocol: tcp, port: 8192, portPrefixLength: 3 }),
    ];
    const { policyPeers, policyTables } = datapath.maps;
    policyTables.setBatch(keys.map((key) => [key, { kind: 'l7', set: setNumber(3) }]));
    const found = [...policyTables.entries()].filter(([key]) => key.table === 900);
    for (const key of keys) assert.ok(found.some(([other]) => JSON.stringify(other) === JSON.stringify(key)));
    assert.equal(policyTables.deleteBatch(found.map(([key]) => key)), keys.length);
    const peer = { generation: generation(900), identity: identityNumber(4294967295) };
    const ref = { table: tableNumber(900), lengths: lengthsOf(keys) };
    policyPeers.set(peer, ref);
    assert.deepEqual(policyPeers.get(peer), ref);
    assert.equal(policyPeers.delete(peer), true);
  });

  test('batches: all of them, absent keys passed over', () => {
    const { policyPeers } = datapath.maps;
    const keys = Array.from({ length: 2000 }, (_, number) => ({
      generation: generation(900),
      identity: identityNumber(number + 10),
    }));
    policyPeers.setBatch(keys.map((key) => [key, { table: tableNumber(1), lengths: 0 }]));
    assert.equal([...policyPeers.entries()].filter(([key]) => key.generation === 900).length, 2000);
    const doomed = keys.filter((_, number) => number % 3 === 0);
    for (const key of doomed.slice(0, 5)) assert.equal(policyPeers.delete(key), true);
    assert.equal(policyPeers.deleteBatch(keys), 1995);
    assert.equal(policyPeers.deleteBatch(keys), 0);
    assert.equal([...policyPeers.entries()].filter(([key]) => key.generation === 900).length, 0);
  });

  test('a map that is full says so and keeps what it has', () => {
    const { endpoints } = datapath.maps;
    const entry = { identity: identityNumber(1), subject: subjectNumber(1) };
    assert.throws(
      () => {
        for (let number = 1000; number < 1000 + endpoints.maxEntries + 1; number += 1) {
          endpoints.set(ifindex(number), entry);
        }
      },
      (error: unknown) => {
        assert.ok(error instanceof BpfError);
        assert.equal(error.code, 'E2BIG');
        assert.match(
          error.message,
          /write to map endpoints of 64 entries: E2BIG; the map is full: raise its capacity/,
        );
        return true;
      },
    );
    assert.deepEqual(endpoints.get(ifindex(1000)), entry);
    for (const [number] of [...endpoints.entries()]) if (number >= 1000) endpoints.delete(number);
  });
});

describe('life of a datapath', () => {
  test('closing leaves all in force, opening adopts it, removing leaves nothing', () => {
    const first = openLabDatapath(lab);
    assert.equal(first.adopted, false);
    const { link } = workloads.alpha;
    assert.deepEqual(
      first.attached().map(({ role, current }) => ({ role, current })),
      [
        ...Object.keys(workloads).map(() => ({ role: 'workload', current: true })),
        { role: 'network', current: true },
      ],
    );
    first.maps.ipcache.set(ipPrefix('192.0.2.0/24'), identityNumber(99));
    first.close();
    first.close();
    assert.deepEqual(filters(link), [true, true]);

    const second = openDatapath({ instance: lab, marks, bpffs });
    assert.equal(second.adopted, true);
    assert.equal(second.maps.ipcache.get(ipPrefix('192.0.2.0/24')), 99);
    assert.equal(second.maps.endpoints.maxEntries, 64, 'adopted maps keep their size');
    assert.ok(second.attached().every(({ current }) => current));
    assert.equal(second.detach(linkOf(link)), true);
    assert.equal(second.detach(linkOf(link)), false);
    assert.equal(second.attached().length, 3);
    second.close();

    const third = openDatapath({ instance: lab, marks, bpffs, reportAllowed: false });
    assert.ok(
      third.attached().every(({ current }) => !current),
      'other constants: to be replaced',
    );
    third.attach(linkOf(link));
    assert.ok(third.attached().some(({ ifindex: number, current }) => number === linkOf(link) && current));
    third.remove();
    assert.ok(!existsSync(pins));
    for (const name of [...Object.values(workloads), outside])
      assert.deepEqual(filters(name.link), [false, false]);
    assert.throws(() => third.maps.ipcache.get(ipPrefix('192.0.2.0/24')), /open handle/);
  });

  test('instances do not see each other', () => {
    const one = openLabDatapath(lab);
    const other = openDatapath({ instance: `${lab}-other`, marks, bpffs });
    assert.deepEqual(other.attached(), []);
    other.remove();
    assert.equal(one.attached().length, 4);
    one.remove();
  });

  test('an interface that is gone is detached, and cannot be attached', () => {
    const datapath = openLabDatapath(lab);
    assert.equal(datapath.detach(ifindex(100000)), false);
    assert.throws(
      () => datapath.attach(ifindex(100000)),
      (error: unknown) =>
        error instanceof BpfError && error.code === 'ENODEV' && /interface 100000/.test(error.message),
    );
    datapath.remove();
  });

  test('a folder without a bpffs is named', () => {
    assert.throws(
      () => openDatapath({ instance: lab, marks, bpffs: '/tmp' }),
      (error: unknown) =>
        error instanceof BpfError && error.code === 'ENOTSUP' && /mount -t bpf bpf \/tmp/.test(error.message),
    );
  });

  test('marks that could be mistaken are refused', () => {
    assert.throws(
      () => openDatapath({ instance: lab, marks: { ...marks, proxy: 0x200 }, bpffs }),
      RangeError,
    );
    assert.throws(
      () => openDatapath({ instance: lab, marks: { ...marks, proxy: 0x1000 }, bpffs }),
      RangeError,
    );
  });

  test('the features it needs are here, in words', () => {
    const features = probeFeatures(bpffs);
    assert.deepEqual(
      features.filter(({ available }) => !available),
      [],
    );
    assert.match(probeFeatures('/tmp')[0]!.words, /missing: mount -t bpf bpf \/tmp/);
  });
});

describe('events, sockets and processes', () => {
  let datapath: Datapath;
  let alpha: Peer;
  let beta: Peer;
  before(async () => {
    datapath = openLabDatapath(lab);
    alpha = openPeer(lab, 'alpha');
    beta = openPeer(lab, 'beta');
    await beta.listen('web', 80);
  });
  after(async () => {
    await Promise.all([alpha.close(), beta.close()]);
    datapath.remove();
  });

  test('events tell who, where and why', async () => {
    const seen: DatapathEvent[] = [];
    let wake = () => {};
    const stream = datapath.readEvents((events) => {
      seen.push(...events);
      wake();
    });
    const until = async (kind: DatapathEvent['kind']) => {
      const deadline = AbortSignal.timeout(2000);
      for (;;) {
        const found = seen.find((event) => event.kind === kind);
        if (found !== undefined) return found;
        await new Promise<void>((resolve, reject) => {
          wake = resolve;
          deadline.addEventListener('abort', () =>
            reject(new Error(`no ${kind} among ${JSON.stringify(seen.map((event) => event.kind))}`)),
          );
        });
      }
    };
    const port = Number(await alpha.connect('a', workloads.beta.address, 80));
    const allowed = await until('allow');
    assert.deepEqual(
      { ...allowed, timestampNs: undefined },
      {
        kind: 'allow',
        timestampNs: undefined,
        ifindex: linkOf(workloads.alpha.link),
        hook: 'from-workload',
        protocol: tcp,
        source: { address: workloads.alpha.address, port, identity: 1001 },
        destination: { address: workloads.beta.address, port: 80, identity: 1002 },
      },
    );
    assert.ok(allowed.timestampNs <= process.hrtime.bigint());
    apply(datapath, 'beta', [{ direction: 'ingress', peer: 1001, verdict: { kind: 'deny' } }]);
    await alpha.connect('b', workloads.beta.address, 80, { timeout: 0.1 });
    const dropped = await until('drop');
    assert.ok(dropped.kind === 'drop');
    assert.deepEqual(
      [dropped.reason, dropped.direction, dropped.destination.port],
      ['policy-deny', 'ingress', 80],
    );
    await stream.close();
    await stream.close();
    const count = seen.length;
    await alpha.connect('c', workloads.beta.address, 80, { timeout: 0.1 });
    assert.equal(seen.length, count, 'nothing after close');
    apply(datapath, 'beta', [], []);
  });

  test('a flood of drops is counted whole, told in part, and blocks nothing', async () => {
    apply(datapath, 'beta', [{ direction: 'ingress', peer: 1003, verdict: allow }]);
    const earlier = datapath.counters();
    await alpha.ask({ op: 'udp', name: 'flood' });
    await alpha.ask({ op: 'flood', name: 'flood', host: workloads.beta.address, port: 9, count: 20_000 });
    const later = datapath.counters();
    assert.equal(later['policy-default-deny'] - earlier['policy-default-deny'], 20_000n);
    assert.ok(later['event-lost'] > earlier['event-lost']);
    apply(datapath, 'beta', [], []);
  });

  test('connections are listed while they live', async () => {
    const port = Number(await alpha.connect('listed', workloads.beta.address, 80));
    const find = () => [...datapath.connections()].filter(({ source }) => source.port === port);
    assert.deepEqual(
      find().map(({ source, destination, proxyPort: proxied, leg }) => [
        source.address,
        source.identity,
        destination.port,
        proxied,
        leg,
      ]),
      [[workloads.alpha.address, 1001, 80, undefined, false]],
    );
    await alpha.receive('listed');
    await alpha.send('listed', 'bye');
    await alpha.receive('listed');
    assert.equal(await alpha.receive('listed'), '');
    await alpha.shut('listed');
    assert.deepEqual(find(), []);
  });

  test('a socket is destroyed by its ends', async () => {
    const node = openPeer(lab, 'node');
    const port = Number(await node.connect('doomed', workloads.beta.address, 80));
    const local = { address: ipAddress('10.71.2.1'), port };
    const remote = { address: ipAddress(workloads.beta.address), port: 80 };
    assert.equal(destroySockets([{ local, remote }]), 1);
    assert.equal(destroySockets([{ local, remote }]), 0);
    assert.equal(await node.send('doomed', 'x'), 'ECONNABORTED');
    await node.close();
  });

  test('the exit of a process is seen, child or not', async () => {
    const child = spawn('sleep', ['100']);
    const watch = watchProcess(child.pid!);
    const reaped = once(child, 'exit');
    child.kill('SIGKILL');
    await watch.exited;
    watch.close();
    await reaped;
    assert.throws(
      () => watchProcess(child.pid!),
      (error: unknown) => error instanceof BpfError && error.code === 'ESRCH',
    );
  });

  test('a link that comes, and an address, are told of', async () => {
    let changes = 0;
    let wake = () => {};
    const watch = watchLinks(() => {
      changes += 1;
      wake();
    });
    const told = async (act: () => void): Promise<void> => {
      const before = changes;
      const told = new Promise<void>((resolve) => {
        wake = () => changes > before && resolve();
      });
      act();
      await told;
    };
    await told(() => command('ip', 'link', 'add', 'late', 'type', 'veth', 'peer', 'name', 'later'));
    await told(() => command('ip', 'address', 'add', '10.71.8.1/32', 'dev', 'late'));
    await told(() => command('ip', 'link', 'del', 'late'));
    watch.close();
    watch.close();
  });

  test('closed watches and streams let the process end', async () => {
    const script = `
      const { watchLinks, watchProcess, openDatapath } = await import('@weir/bpf');
      const watch = watchProcess(1);
      const links = watchLinks(() => {});
      const datapath = openDatapath(${JSON.stringify({ instance: lab, marks, bpffs })});
      const stream = datapath.readEvents(() => {});
      await stream.close();
      watch.close();
      links.close();
      datapath.close();`;
    const child = spawn(process.execPath, ['--input-type=module', '-e', script], {
      stdio: 'inherit',
      cwd: import.meta.dirname,
      timeout: 5000,
    });
    const [code] = await once(child, 'exit');
    assert.equal(code, 0);
  });
});
