// What acceleration must come through, in quantity, and the same by TCP: short connections, gigabytes, slow readers,
// processes killed and permission revoked in mid-stream. Findings are bytes that differ, ends that hang, and bytes that
// pass after a revocation. How long a load took goes to standard error only: the two ways do not run side by side, and
// what else the machine does changes it more than they do. `make bench-datapath` measures them.
// `node bench/acceleration.bench.ts [CONNECTIONS] [GIGABYTES] [ROUNDS]`
import { loads } from '../tests/bpf/acceleration-load.ts';
import { enterLab } from '../tests/bpf/lab.ts';
import { openProxiedLab } from '../tests/bpf/proxied-lab.ts';
import { writeResult } from './result.ts';
import { table } from './table.ts';

const lab = enterLab(import.meta.filename);
const [shortConnections = 10_000, gigabytes = 4, rounds = 20] = process.argv.slice(2).map(Number);
const sizes = {
  shortConnections,
  bulkBytes: gigabytes * 1e9,
  slowReaders: rounds,
  kills: rounds,
  revocations: rounds,
};

const rows: string[][] = [];
const findings: string[] = [];
let messages = 0;
for (const accelerate of [true, false]) {
  const proxied = await openProxiedLab(lab, accelerate ? 'on' : 'off');
  const { acceleration } = proxied.datapath();
  if (accelerate && acceleration.kind === 'off') throw new Error(acceleration.reason);
  try {
    for (const [name, load] of Object.entries(loads)) {
      const start = performance.now();
      let found: readonly string[] = [];
      const { accelerated } = await proxied.counted(async () => {
        found = await load(proxied, lab, sizes);
      });
      const way = accelerate ? 'accelerated' : 'by TCP';
      const tookS = ((performance.now() - start) / 1000).toFixed(1);
      console.error(`${name}, ${way}: ${found.length} findings after ${tookS} s`);
      rows.push([name, way, String(accelerated), String(found.length)]);
      findings.push(...found.map((finding) => `${name}, ${way}: ${finding}`));
      messages += accelerated;
    }
  } finally {
    await proxied.close();
    proxied.datapath().remove();
  }
}
console.log(`${shortConnections} short connections, ${gigabytes} GB in each direction, ${rounds} rounds`);
console.log(table([['load', 'way', 'messages around TCP', 'findings'], ...rows]));
for (const finding of findings) console.log(`\n${finding}`);
writeResult('acceleration', {
  findings: { value: findings.length, unit: 'findings', better: 'lower' },
  'messages around TCP': { value: messages, unit: 'messages', better: 'higher' },
});
if (findings.length > 0) process.exitCode = 1;
process.exit();
