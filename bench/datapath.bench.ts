// What a connection pays on its way through a node, beside its peers, in one interleaved run:
// nothing in between; our programs where no policy selects, and with a policy on layers 3 and 4; TCP through Envoy, and HTTP under a class's rules,
// each by our programs, accelerated too, and by iptables TPROXY to the very same listener (TCP: to an Envoy of the same
// configuration in a node of its own), TCP by REDIRECT as well.
// `node bench/datapath.bench.ts [ROUNDS] [SECONDS] [kept,fresh,bulk] [bare|envoy]`: the server is a program that does next
// to nothing but answer, or an Envoy, whose own work weighs on every way alike and brings all ratios nearer to 1.

import { setScene, type Variant } from './datapath/scene.ts';
import { type Load, type Measurement, wrk } from './datapath/wrk.ts';
import { writeResult } from './result.ts';
import { median } from './statistics.ts';
import { table } from './table.ts';

const rounds = Number(process.argv[2] ?? '15');
const seconds = Number(process.argv[3] ?? '1');
const all: readonly Load[] = ['kept', 'fresh', 'bulk'];
const chosen = (process.argv[4] ?? all.join()).split(',');
const loads = all.filter((load) => chosen.includes(load));

const server = process.argv[5] === 'envoy' ? 'envoy' : 'bare';
const scene = await setScene(server);
const measured = new Map<string, Measurement[]>();
try {
  for (const variant of scene.variants) await wrk(variant, 'kept', 1);
  for (let round = 0; round < rounds; round += 1) {
    // Each round begins with another variant, so that none always runs on the warmer machine.
    const shift = round % scene.variants.length;
    for (const load of loads) {
      const order = [...scene.variants.slice(shift), ...scene.variants.slice(0, shift)];
      // HTTP leaves connections behind that are closed a while later: not under another row.
      if (load === 'fresh') order.sort((a, b) => Number(isHttp(a)) - Number(isHttp(b)));
      for (const variant of order) {
        const key = `${load} ${variant.name}`;
        measured.set(key, [...(measured.get(key) ?? []), await wrk(variant, load, seconds)]);
      }
      if (load === 'fresh') await scene.settle();
    }
  }
  await scene.check();
} finally {
  await scene.strike();
}

function isHttp({ name }: Variant): boolean {
  return name.startsWith('HTTP');
}

function values(name: Variant['name'], load: Load, what: keyof Measurement): readonly number[] {
  return (measured.get(`${load} ${name}`) ?? []).map((one) => one[what]);
}
/** Ratio within each round, so that what slows the machine slows both. */
function ratio(
  name: Variant['name'],
  peer: Variant['name'],
  load: Load = 'kept',
  what: keyof Measurement = 'requestsPerSecond',
): readonly number[] {
  const peers = values(peer, load, what);
  return values(name, load, what).map((value, round) => value / (peers[round] ?? Number.NaN));
}
const show = (all: readonly number[], digits: number): string => {
  const { median: middle, low, high } = median(all);
  return `${middle.toFixed(digits)} [${low.toFixed(digits)}, ${high.toFixed(digits)}]`;
};
const middle = (all: readonly number[], digits: number): string => median(all).median.toFixed(digits);
const peerOf = (name: Variant['name']) => (name.startsWith('TCP') ? 'TCP, TPROXY' : 'HTTP, TPROXY');

console.log(
  `wrk, ${rounds} rounds of ${seconds} s; median [95 % interval]; 16 connections that are kept; server: ${server}`,
);
console.log(
  table([
    ['path', 'requests/s', 'p50 ms', 'p99 ms', 'CPU µs', 'of direct', 'of TPROXY'],
    ...scene.variants.map(({ name }) => [
      name,
      show(values(name, 'kept', 'requestsPerSecond'), 0),
      middle(values(name, 'kept', 'p50Ms'), 3),
      middle(values(name, 'kept', 'p99Ms'), 2),
      middle(values(name, 'kept', 'cpuUsPerRequest'), 1),
      show(ratio(name, 'direct'), 3),
      show(ratio(name, peerOf(name)), 3),
    ]),
  ]),
);
if (loads.includes('fresh') && loads.includes('bulk')) {
  console.log('\na connection for each request; and answers of 1 MiB on 4 connections');
  console.log(
    table([
      ['path', 'connections/s', 'of direct', 'of TPROXY', 'CPU µs', 'bulk Gbit/s', 'of direct', 'of TPROXY'],
      ...scene.variants.map(({ name }) => [
        name,
        show(values(name, 'fresh', 'requestsPerSecond'), 0),
        show(ratio(name, 'direct', 'fresh'), 3),
        show(ratio(name, peerOf(name), 'fresh'), 3),
        middle(values(name, 'fresh', 'cpuUsPerRequest'), 1),
        show(values(name, 'bulk', 'gigabitsPerSecond'), 2),
        show(ratio(name, 'direct', 'bulk', 'gigabitsPerSecond'), 3),
        show(ratio(name, peerOf(name), 'bulk', 'gigabitsPerSecond'), 3),
      ]),
    ]),
  );
}
writeResult('datapath', {
  'unselected of direct': {
    value: median(ratio('unselected', 'direct')).median,
    unit: 'ratio',
    better: 'higher',
  },
  'L4 policy of direct': {
    value: median(ratio('L4 policy', 'direct')).median,
    unit: 'ratio',
    better: 'higher',
  },
  'TCP through Envoy of direct': {
    value: median(ratio('TCP, Envoy', 'direct')).median,
    unit: 'ratio',
    better: 'higher',
  },
  'TCP through Envoy, accelerated, of direct': {
    value: median(ratio('TCP, accelerated', 'direct')).median,
    unit: 'ratio',
    better: 'higher',
  },
  'TCP through Envoy, accelerated, of TPROXY': {
    value: median(ratio('TCP, accelerated', 'TCP, TPROXY')).median,
    unit: 'ratio',
    better: 'higher',
  },
  'HTTP through Envoy, accelerated, of TPROXY': {
    value: median(ratio('HTTP, accelerated', 'HTTP, TPROXY')).median,
    unit: 'ratio',
    better: 'higher',
  },
  'HTTP through Envoy of direct': {
    value: median(ratio('HTTP, Envoy', 'direct')).median,
    unit: 'ratio',
    better: 'higher',
  },
  'HTTP through Envoy of TPROXY': {
    value: median(ratio('HTTP, Envoy', 'HTTP, TPROXY')).median,
    unit: 'ratio',
    better: 'higher',
  },
});
