// Damaged Kafka requests and answers through the built filter: `node bench/kafka-mutations.bench.ts [COUNT [SEED]]`.
// Prints what became of them, and fails when another topic came through or the VM trapped.
import { runMutations } from '../tests/kafka/support/mutations.ts';

const [count = 100_000, seed = 1] = process.argv.slice(2).map(Number);
const started = performance.now();
const { mutated, forwarded, closed, findings, memoryBytes } = runMutations(count, seed);
const seconds = ((performance.now() - started) / 1000).toFixed(1);
console.log(
  `${mutated} mutated, ${forwarded} went through, ${closed} ended their connection, ${findings.length} findings, ` +
    `${(memoryBytes / 1024 / 1024).toFixed(1)} MiB of VM memory, ${seconds} s`,
);
for (const finding of findings.slice(0, 10)) console.log(finding);
process.exitCode = findings.length === 0 ? 0 : 1;
