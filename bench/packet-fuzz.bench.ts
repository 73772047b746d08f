// A million random and mutated frames through the programs: nothing of a protected workload passes without an allow.
// `node bench/packet-fuzz.bench.ts [FRAMES] [SEED]`
import { openKernelUnderTest } from '../tests/bpf/conformance/kernel-under-test.ts';
import { enterOwnNamespace } from '../tests/bpf/conformance/own-namespace.ts';
import { fuzz } from '../tests/bpf/fuzz/fuzz-run.ts';
import { marks } from '../tests/bpf/lab.ts';
import { writeResult } from './result.ts';
import { table } from './table.ts';

const interfaces = enterOwnNamespace(import.meta.filename, process.argv.slice(2));
const frames = Number(process.argv[2] ?? '1000000');
const seed = Number(process.argv[3] ?? '1');
const kernel = openKernelUnderTest(interfaces);
const start = performance.now();
try {
  const report = fuzz(kernel, marks, kernel.instance, interfaces, { frames, seed });
  const seconds = (performance.now() - start) / 1000;
  console.log(
    table([
      ['frames', 'runs', 'passed', 'dropped', 'to the proxy', 'findings', 'frames/s'],
      [
        ...[report.frames, report.runs, report.passed, report.dropped, report.toProxy].map(String),
        String(report.findings.length),
        (frames / seconds).toFixed(0),
      ],
    ]),
  );
  for (const finding of report.findings) console.log(`\n${finding}`);
  writeResult('packet-fuzz', {
    frames: { value: report.frames, unit: 'frames', better: 'higher' },
    findings: { value: report.findings.length, unit: 'findings', better: 'lower' },
    rate: { value: frames / seconds, unit: 'frames/s', better: 'higher' },
  });
  if (report.findings.length > 0) process.exitCode = 1;
} finally {
  kernel.close();
}
