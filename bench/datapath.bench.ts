// What a connection pays on its way through a node, beside its peers, in one interleaved run:
// nothing in between; our programs with a policy on layers 3 and 4; TCP through Envoy, and HTTP under a class's rules,
// each by our programs, accelerated too, and by iptables TPROXY to the very same listener.
// `node bench/datapath.bench.ts [ROUNDS] [SECONDS]`

import { setScene, type Variant } from './datapath/scene.ts';
import { wrk } from './datapath/wrk.ts';
import { writeResult } from './result.ts';
import { median } from './statistics.ts';
import { table } from './table.ts';

const rounds = Number(process.argv[2] ?? '15');
const seconds = Number(process.argv[3] ?? '1');
const CONNECTIONS = 16;

const scene = await setScene();
const rates = new Map<Variant['name'], number[]>();
try {
  for (const variant of scene.variants) await wrk(variant, CONNECTIONS, 1);
  for (let round = 0; round < rounds; round += 1) {
    // Each round begins with another variant, so that none always runs on the warmer machine.
    const shift = round % scene.variants.length;
    for (const variant of [...scene.variants.slice(shift), ...scene.variants.slice(0, shift)]) {
      rates.set(variant.name, [...(rates.get(variant.name) ?? []), await wrk(variant, CONNECTIONS, seconds)]);
    }
  }
  await scene.check();
} finally {
  await scene.strike();
}

const ratesOf = (name: Variant['name']): readonly number[] => rates.get(name) ?? [];
/** Ratio within each round, so that what slows the machine slows both. */
function ratio(name: Variant['name'], peer: Variant['name']): readonly number[] {
  return ratesOf(name).map((rate, round) => rate / (ratesOf(peer)[round] ?? Number.NaN));
}
const show = (values: readonly number[], digits: number): string => {
  const { median: middle, low, high } = median(values);
  return `${middle.toFixed(digits)} [${low.toFixed(digits)}, ${high.toFixed(digits)}]`;
};

console.log(
  `wrk, ${CONNECTIONS} keep-alive connections, ${rounds} rounds of ${seconds} s; median [95 % interval]`,
);
console.log(
  table([
    ['path', 'requests/s', 'of direct', 'of TPROXY'],
    ...scene.variants.map(({ name }) => [
      name,
      show(ratesOf(name), 0),
      show(ratio(name, 'direct'), 3),
      show(ratio(name, name.startsWith('TCP') ? 'TCP, TPROXY' : 'HTTP, TPROXY'), 3),
    ]),
  ]),
);
writeResult('datapath', {
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
