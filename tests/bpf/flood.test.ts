// A workload that floods costs those who listen little, and hides nothing of the others.
import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import type { Datapath, DatapathEvent } from '@weir/bpf';
import { waitUntil } from '../integration/wait-until.ts';
import { apply, enterLab, linkOf, openLabDatapath, outside, workloads } from './lab.ts';
import { openPeer, type Peer } from './peer.ts';

const lab = enterLab(import.meta.filename);
/** As in lib/maps.h. */
const likeDropsPerSecond = 10;
const eventsPerSecondAndCpu = 1000;
const packets = 60_000;
const udp = 17;
const mac = '020000000000';
/** UDP from alpha to beta, port 9. */
const frame = `${mac}${mac}0800${'4500001c000040004011'}0000${'0a470102'}${'0a470202'}${'03e80009'}${'00080000'}`;

describe('a flood of drops', () => {
  let datapath: Datapath;
  let alpha: Peer;
  let gamma: Peer;
  const events: DatapathEvent[] = [];

  before(async () => {
    datapath = openLabDatapath(lab);
    alpha = openPeer(lab, 'alpha');
    gamma = openPeer(lab, 'gamma');
    apply(datapath, 'beta', [{ direction: 'ingress', peer: 1003, verdict: { kind: 'allow' } }]);
    datapath.readEvents((batch) => void events.push(...batch));
    await gamma.ask({ op: 'udp', name: 'u' });
  });
  after(async () => {
    await Promise.all([alpha.close(), gamma.close()]);
    datapath.remove();
  });

  const dropsOf = (port: number): number =>
    datapath
      .outcomes()
      .filter(
        ({ ifindex, reason }) => ifindex === linkOf(workloads.alpha.link) && reason === 'policy-default-deny',
      )
      .reduce((sum, { packets: count }) => sum + Number(count), port);
  const told = (): (DatapathEvent & { kind: 'drop' })[] => events.filter((event) => event.kind === 'drop');

  async function flood(ports: boolean): Promise<number> {
    events.length = 0;
    const startedAt = performance.now();
    assert.equal(
      await alpha.ask({ op: 'frames', interface: 'eth0', hex: frame, count: packets, ports }),
      String(packets),
    );
    return Math.ceil((performance.now() - startedAt) / 1000) + 1;
  }

  test('packets that are alike are told some times in a second, and all are counted', async () => {
    const before = dropsOf(0);
    const seconds = await flood(false);
    assert.equal(dropsOf(0) - before, packets);
    assert.ok(told().length > 0 && told().length <= likeDropsPerSecond * seconds, `${told().length} events`);
    await waitUntil('the count of those that were not told', 5_000, async () => {
      await alpha.ask({ op: 'frame', interface: 'eth0', hex: frame });
      const untold = told().reduce((sum, event) => sum + event.untold, 0);
      return untold > packets / 2 ? { done: untold } : { seen: untold };
    });
  });

  test('packets of many kinds stay within the rate, and others are heard', async () => {
    const cpus = 64;
    const flooded = flood(true);
    await gamma.ask({ op: 'send_to', name: 'u', host: outside.address, port: 53 });
    await waitUntil('the allowed packet', 2_000, async () => {
      const found = events.find((event) => event.kind === 'allow' && event.protocol === udp);
      return found === undefined ? { seen: events.length } : { done: found };
    });
    const seconds = await flooded;
    assert.ok(told().length <= eventsPerSecondAndCpu * cpus * seconds);
    assert.ok(told().length < packets / 2, `${told().length} of ${packets} told`);
    assert.ok(datapath.counters()['event-lost'] > 0n);
  });
});
