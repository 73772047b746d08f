/** Fuzzes the readers of policies: 100,000 changed documents, or as many as the first argument says, from a seed. */
import { fuzz } from '../tests/l7-policy/fuzz-run.ts';
import { writeResult } from './result.ts';
import { table } from './table.ts';

const inputs = Number(process.argv[2] ?? '100000');
const seed = Number(process.argv[3] ?? '1');

const start = performance.now();
const report = fuzz(inputs, seed, () => performance.now());
const seconds = (performance.now() - start) / 1000;
const heapMib = process.memoryUsage().heapUsed / 2 ** 20;

console.log(
  table([
    ['inputs', 'refused', 'same meaning', 'other text', 'findings', 'slowest ms', 'inputs/s', 'heap MiB'],
    [
      ...[report.inputs, report.refused, report.same, report.other, report.findings.length].map(String),
      report.slowestMs.toFixed(1),
      (inputs / seconds).toFixed(0),
      heapMib.toFixed(0),
    ],
  ]),
);
console.log(`slowest: ${report.slowest}`);
for (const finding of report.findings) console.log(`\n${finding}`);

writeResult('policy-fuzz', {
  inputs: { value: inputs, unit: 'documents', better: 'higher' },
  findings: { value: report.findings.length, unit: 'findings', better: 'lower' },
  slowest: { value: report.slowestMs, unit: 'ms', better: 'lower' },
  rate: { value: inputs / seconds, unit: 'documents/s', better: 'higher' },
  heap: { value: heapMib, unit: 'MiB', better: 'lower' },
});
if (report.findings.length > 0) process.exitCode = 1;
