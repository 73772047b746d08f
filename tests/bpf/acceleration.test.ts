// The way around TCP, with a real Envoy between alpha and beta: every byte, every end, and every connection that must not
// go that way. `fallback` says by which count.
import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import type { AccelerationCount } from '@weir/bpf';
import { waitUntil } from '../integration/wait-until.ts';
import { defaultSizes, loads } from './acceleration-load.ts';
import { command, enterLab, namespacePath, workloads } from './lab.ts';
import { openProxiedLab, ownPorts, type ProxiedLab } from './proxied-lab.ts';
import type { Puppet } from './puppet.ts';

const lab = enterLab(import.meta.filename);
const server = workloads.beta.address;

describe('acceleration', () => {
  let proxied: ProxiedLab;
  let client: Puppet;
  let web: Puppet;
  let establish: ProxiedLab['establish'];
  let counted: ProxiedLab['counted'];
  /** Sends from one end, and gives what arrives at the other. */
  const carry = async (
    from: Puppet,
    name: string,
    to: Puppet,
    far: string,
    text: string,
  ): Promise<unknown> => {
    assert.equal(await from.ask({ op: 'send', name, text }), text.length);
    return to.ask({ op: 'recv', name: far });
  };
  const whole = async (puppet: Puppet, seed: number, bytes: number) => ({
    bytes,
    digest: await puppet.ask({ op: 'digest', seed, bytes }),
  });

  before(async () => {
    proxied = await openProxiedLab(lab);
    ({ client, web, establish, counted } = proxied);
    assert.deepEqual(proxied.datapath().acceleration, { kind: 'on' });
    // A connection to a port, and the acknowledgement of what its server said, show how that reads.
    for (let joined = 0; joined < 4; ) joined = (await counted(async () => void (await establish()))).joined;
  });

  after(() => proxied.close());

  test('messages go around TCP in both directions', async () => {
    const counts = await counted(async () => {
      const [near, far] = await establish();
      for (let round = 0; round < 5; round += 1) {
        assert.equal(await carry(client, near, web, far, `request ${round}`), `request ${round}`);
        assert.equal(await carry(web, far, client, near, `answer ${round}`), `answer ${round}`);
      }
    });
    assert.equal(counts.joined, 4);
    assert.ok(counts.accelerated >= 20, JSON.stringify(counts));
  });

  test('IPv6, and a server that hears both families on one socket', async () => {
    for (const host of [workloads.beta.address6, server]) {
      let counts: Record<AccelerationCount, number> | undefined;
      for (let joined = 0; joined < 4; joined = counts.joined) {
        counts = await counted(async () => {
          const [near, far] = await establish('both', host);
          assert.equal(await carry(client, near, web, far, `to ${host}`), `to ${host}`);
        });
      }
      assert.equal(counts?.accelerated, 6);
    }
  });

  test('connections without L7 stay out', async () => {
    proxied.permit('allow');
    const counts = await counted(async () => {
      const [near, far] = await establish();
      assert.equal(await carry(client, near, web, far, 'direct'), 'direct');
    });
    proxied.permit();
    assert.deepEqual([counts.joined, counts.accelerated], [0, 0]);
  });

  test('half-close in both orders', async () => {
    const [near, far] = await establish();
    await carry(client, near, web, far, 'last words');
    await client.ask({ op: 'shutdown', name: near, how: 'SHUT_WR' });
    assert.equal(await web.ask({ op: 'recv', name: far }), '');
    assert.equal(await carry(web, far, client, near, 'still here'), 'still here');
    await web.ask({ op: 'close', name: far });
    assert.equal(await client.ask({ op: 'recv', name: near }), '');

    const [near2, far2] = await establish();
    await web.ask({ op: 'send', name: far2, text: 'all I have' });
    await web.ask({ op: 'shutdown', name: far2, how: 'SHUT_WR' });
    assert.equal(await client.ask({ op: 'recv', name: near2, flags: ['MSG_PEEK'] }), 'all I have');
    assert.equal(await client.ask({ op: 'recv', name: near2 }), 'all I have');
    assert.equal(await client.ask({ op: 'recv', name: near2 }), '');
    assert.equal(await carry(client, near2, web, far2, 'and mine'), 'and mine');
    await client.ask({ op: 'close', name: near2 });
    assert.equal(await web.ask({ op: 'recv', name: far2 }), '');
  });

  test('a reset reaches the other end, behind what was sent before', async () => {
    const [near, far] = await establish();
    await client.ask({ op: 'close', name: near, reset: true });
    await assert.rejects(web.ask({ op: 'recv', name: far }), /ECONNRESET/);
  });

  test('an end that closes with bytes unread ends the connection, and nobody hangs', async () => {
    const [near, far] = await establish();
    await client.ask({ op: 'send', name: near, text: 'never read' });
    assert.ok((await web.ask({ op: 'wait_events', name: far, events: 1 })) !== 0);
    await web.ask({ op: 'close', name: far });
    const end = await client.ask({ op: 'recv', name: near }).catch((error: Error) => error.message);
    assert.match(String(end), /^$|ECONNRESET/);
  });

  test('how much waits, peeking, and what poll says', async () => {
    const [near, far] = await establish();
    assert.equal(Number(await client.ask({ op: 'events', name: near })) & 1, 0);
    await web.ask({ op: 'send', name: far, text: 'twelve bytes' });
    await client.ask({ op: 'wait_events', name: near, events: 1 });
    assert.equal(await client.ask({ op: 'waiting_bytes', name: near }), 12);
    assert.equal(await client.ask({ op: 'recv', name: near, flags: ['MSG_PEEK'] }), 'twelve bytes');
    assert.equal(await client.ask({ op: 'recv', name: near, bytes: 6 }), 'twelve');
    assert.equal(await client.ask({ op: 'waiting_bytes', name: near }), 6);
    assert.equal(await client.ask({ op: 'recv', name: near }), ' bytes');
    assert.equal(Number(await client.ask({ op: 'events', name: near })) & 1, 0);
  });

  test('sendfile and splice into a socket', async () => {
    const [near, far] = await establish();
    assert.equal(await client.ask({ op: 'splice_pipe', name: near, text: 'through a pipe' }), 14);
    assert.equal(await web.ask({ op: 'recv', name: far }), 'through a pipe');
    await web.ask({ op: 'drain', name: far, as: 'file' });
    assert.equal(await client.ask({ op: 'splice_from', name: near, seed: 5, bytes: 3_000_000 }), 3_000_000);
    assert.deepEqual(await web.ask({ op: 'join', as: 'file' }), await whole(web, 5, 3_000_000));
  });

  test('splice from a socket: by itself acceleration is on only where the kernel lets it see', async () => {
    const [near, far] = await establish();
    await web.ask({ op: 'send', name: far, text: 'for pipes' });
    await client.ask({ op: 'wait_events', name: near, events: 1 });
    const spliced = await client.ask({ op: 'splice_out', name: near }).catch((error: Error) => error.message);
    const sees = spliced === 9;
    if (!sees) assert.equal(spliced, 'splice_out: EAGAIN');
    if (!sees) assert.equal(await client.ask({ op: 'recv', name: near }), 'for pipes');
    proxied.reopen('auto');
    const reason = 'on this kernel splice(2) does not see what goes around TCP';
    assert.deepEqual(proxied.datapath().acceleration, sees ? { kind: 'on' } : { kind: 'off', reason });
    proxied.reopen('on');
  });

  test('splice from a socket that takes no part', async () => {
    const [near, far] = await establish('blocking');
    await web.ask({ op: 'send', name: far, text: 'for pipes' });
    assert.equal(await client.ask({ op: 'splice_out', name: near }), 9);
  });

  test('urgent data goes by TCP, as does what follows', async () => {
    const [near] = await establish();
    const counts = await counted(async () => {
      await client.ask({ op: 'send', name: near, text: '!', flags: ['MSG_OOB'] });
    });
    assert.deepEqual([counts.unfit, counts.accelerated], [1, 0]);
  });

  test('zero-copy and kTLS are refused to sockets that take part, and programs go on without', async () => {
    const [near, far] = await establish();
    await assert.rejects(client.ask({ op: 'set', name: near, option: [1, 60, 1] }), /EPERM/);
    await assert.rejects(web.ask({ op: 'ulp', name: far }), /EPERM/);
    assert.equal(await carry(client, near, web, far, 'without'), 'without');
  });

  test('a socket with zero-copy from the start takes no part', async () => {
    await web.ask({ op: 'set', name: 'plain', option: [1, 60, 1] });
    const counts = await counted(async () => {
      const [near, far] = await establish();
      assert.equal(await carry(client, near, web, far, 'copied once less'), 'copied once less');
    });
    await web.ask({ op: 'set', name: 'plain', option: [1, 60, 0] });
    assert.equal(counts.joined, 3, 'all but the server');
  });

  test('SO_RCVLOWAT: TCP, and poll waits for as much', async () => {
    const [near, far] = await establish();
    await client.ask({ op: 'set', name: near, option: [1, 18, 10] });
    const counts = await counted(async () => {
      await web.ask({ op: 'send', name: far, text: 'few' });
      await web.ask({ op: 'send', name: far, text: 'and more of it' });
      await client.ask({ op: 'wait_events', name: near, events: 1 });
      assert.equal(await client.ask({ op: 'waiting_bytes', name: near }), 17);
    });
    assert.deepEqual([counts.left, counts.unfit > 0], [1, true]);
  });

  test('who reads blocking takes no part: signals and MSG_WAITALL work as ever', async () => {
    const counts = await counted(async () => {
      const [near, far] = await establish('blocking');
      const all = web.ask({ op: 'recv', name: far, bytes: 12, flags: ['MSG_WAITALL'] });
      await client.ask({ op: 'send', name: near, text: 'one by' });
      await client.ask({ op: 'send', name: near, text: ' one.' });
      await client.ask({ op: 'send', name: near, text: '!' });
      assert.equal(await all, 'one by one.!');
      const interrupted = web.ask({ op: 'recv_blocking', name: far });
      await web.signalled();
      await client.ask({ op: 'send', name: near, text: 'after the signal' });
      assert.equal(await interrupted, 'after the signal');
    });
    assert.deepEqual([counts.joined, counts.blocking], [1, 2], 'only the proxy towards the server');
  });

  test('a client that reads blocking once it is connected leaves, and signals work as ever', async () => {
    const [near, far] = await establish();
    const counts = await counted(async () => {
      await client.ask({ op: 'block', name: near });
      assert.equal(await carry(client, near, web, far, 'what now?'), 'what now?');
      assert.equal(await carry(web, far, client, near, 'by TCP'), 'by TCP');
      const interrupted = client.ask({ op: 'recv_blocking', name: near });
      await client.signalled();
      await web.ask({ op: 'send', name: far, text: 'after the signal' });
      assert.equal(await interrupted, 'after the signal');
    });
    assert.equal(counts.left, 1);
    assert.ok(counts.blocking >= 2, JSON.stringify(counts));
  });

  test('who wants timestamps sends by TCP', async () => {
    const [near, far] = await establish();
    await client.ask({ op: 'set', name: near, option: [1, 37, 0x12] });
    const counts = await counted(async () => {
      assert.equal(await carry(client, near, web, far, 'when?'), 'when?');
    });
    assert.ok(counts.unfit > 0, JSON.stringify(counts));
  });

  test('a server that listens for MPTCP, as those in Go do', async () => {
    const [near, far] = await establish('mptcp');
    assert.equal(await carry(client, near, web, far, 'over one path'), 'over one path');
    assert.equal(await carry(web, far, client, near, 'and back'), 'and back');
  });

  test('a reader that is slow gets every byte, and its memory is bounded', async () => {
    const [near, far] = await establish();
    const counts = await counted(async () => {
      const filled = Number(await web.ask({ op: 'fill', name: far }));
      assert.ok(filled < 64 * 1024 * 1024, `${filled} bytes went into nobody's hands`);
      const read = (await client.ask({
        op: 'drain',
        name: near,
        as: 'all',
        bytes: filled,
        pause: 0.001,
      })) as unknown;
      assert.ok(read);
      const all = (await client.ask({ op: 'join', as: 'all' })) as { bytes: number };
      assert.equal(all.bytes, filled);
    });
    assert.ok(counts.full > 0 && counts.accelerated > 0, JSON.stringify(counts));
  });

  test('an edge-triggered reader that stops at a short read is woken for every byte', async () => {
    const counts = await counted(async () => {
      for (let round = 0; round < 20; round += 1) {
        const [near, far] = await establish();
        const bytes = 400_000 + round * 50_000;
        await client.ask({ op: 'edge', name: near, as: `edge${round}`, bytes, pause: 0.0005 });
        await web.ask({ op: 'pour', name: far, as: `pour${round}`, seed: round, bytes, end: false });
        await web.ask({ op: 'join', as: `pour${round}` });
        assert.deepEqual(
          await client.ask({ op: 'join', as: `edge${round}` }),
          await whole(client, round, bytes),
        );
      }
    });
    assert.ok(counts.full > 0, JSON.stringify(counts));
    assert.ok(counts.held > 0, JSON.stringify(counts));
  });

  test('what waits for a reader is repeated, not taken for unsent', async () => {
    const [near, far] = await establish();
    const clientEnd = String(await client.ask({ op: 'name', name: near }));
    const held = () => proxied.datapath().accelerationCounters().held;
    const earlier = held();
    // Accelerated, and never read: all that comes by TCP behind it waits.
    await web.ask({ op: 'send', name: far, text: 'first' });
    await client.ask({ op: 'wait_events', name: near, events: 1 });
    await web.ask({ op: 'fill', name: far });
    await waitUntil('a segment that waits', 5000, async () =>
      held() > earlier ? { done: true } : { seen: `${held()} held` },
    );
    // A segment that the interface refuses is tried again as a probe, 200 ms later or more: timer "persist", not "on".
    const node = `--net=${namespacePath(lab, 'node')}`;
    assert.match(command('nsenter', node, 'ss', '-tnoH', 'dst', clientEnd), /timer:\(on,/);
    await client.ask({ op: 'close', name: near });
    await web.ask({ op: 'close', name: far });
  });

  // make bench-acceleration does more of each.
  for (const [name, load] of Object.entries(loads))
    test(`${name}, byte for byte`, async () => {
      const counts = await counted(async () => {
        assert.deepEqual(await load(proxied, lab, defaultSizes), []);
      });
      assert.ok(counts.accelerated > 0, JSON.stringify(counts));
    });

  test('clients and legs of the proxy with one 4-tuple, accelerated and not', async () => {
    // 24 of either at a time and 36 ports: most are shared. TIME_WAIT, which would use them up, is left out.
    for (const place of ['alpha', 'node'] as const)
      proxied.tune(place, 'net.ipv4.ip_local_port_range=40000 40035', 'net.ipv4.tcp_max_tw_buckets=0');
    for (const accelerate of ['off', 'on'] as const) {
      proxied.reopen(accelerate);
      assert.deepEqual(await proxied.many(2000, 20_000), []);
    }
    proxied.tune('alpha', ownPorts, 'net.ipv4.tcp_max_tw_buckets=4096');
    proxied.tune('node', 'net.ipv4.ip_local_port_range=32768 60999', 'net.ipv4.tcp_max_tw_buckets=4096');
  });

  test('a policy that still permits: accelerated as before, none is reset', async () => {
    const [near, far] = await establish();
    proxied.permit();
    const counts = await counted(async () => {
      assert.equal(await carry(client, near, web, far, 'under the next'), 'under the next');
      assert.equal(await carry(web, far, client, near, 'so am I'), 'so am I');
    });
    assert.deepEqual([counts.accelerated, counts.stale], [4, 0]);
  });

  test('the next agent takes over, with acceleration and without; a removal loses no byte', async () => {
    const [near, far] = await establish();
    proxied.reopen('on');
    const counts = await counted(async () => {
      assert.equal(await carry(client, near, web, far, 'over a restart'), 'over a restart');
    });
    assert.equal(counts.accelerated, 2);

    await web.ask({ op: 'send', name: far, text: 'unread while it goes' });
    await client.ask({ op: 'wait_events', name: near, events: 1 });
    proxied.reopen('off');
    assert.deepEqual(proxied.datapath().acceleration, { kind: 'off', reason: 'switched off' });
    assert.equal(await client.ask({ op: 'recv', name: near }), 'unread while it goes');
    assert.equal(await carry(client, near, web, far, 'by TCP'), 'by TCP');
    assert.equal(await carry(web, far, client, near, 'and back'), 'and back');

    proxied.reopen('on');
    const [near2, far2] = await establish();
    await web.ask({ op: 'send', name: far2, text: 'unread while all goes' });
    await client.ask({ op: 'wait_events', name: near2, events: 1 });
    proxied.datapath().remove();
    assert.equal(await client.ask({ op: 'recv', name: near2 }), 'unread while all goes');
  });
});
