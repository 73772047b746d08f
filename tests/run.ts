// Runs lint and every test file, folder by folder, and ends with `N passed, N failed`.
// `node tests/run.ts [FOLDER|FILE …]` runs only those and skips lint.
import { spawnSync } from 'node:child_process';
import { globSync } from 'node:fs';
import { relative, resolve } from 'node:path';
import { run } from 'node:test';
import { spec } from 'node:test/reporters';
import { sweep } from './sweep.ts';

const root = resolve(import.meta.dirname, '..');
/** Folders whose files own the machine's network while they run, one file at a time. */
const serial = /^tests\/(integration|faults|end-to-end|bpf|redirect|agent|envoy-config|kafka)\//;

const chosen = process.argv.slice(2).map((path) => relative(root, resolve(path)));
const files = globSync('tests/**/*.test.ts', { cwd: root, exclude: ['**/node_modules/**'] })
  .filter(
    (file) => chosen.length === 0 || chosen.some((path) => file === path || file.startsWith(`${path}/`)),
  )
  .sort();

/** A file that takes this long hangs: it fails, and the others go on. */
const HANGS_AFTER_MS = 600_000;

let passed = 0;
let failed = 0;

if (chosen.length === 0) {
  const lint = spawnSync(resolve(root, 'scripts/lint'), { stdio: 'inherit' });
  if (lint.status === 0) passed += 1;
  else failed += 1;
}

await sweep();
await runFiles(
  files.filter((file) => !serial.test(file)),
  2,
);
await runFiles(
  files.filter((file) => serial.test(file)),
  1,
);

console.log(`${passed} passed, ${failed} failed`);
process.exit(failed > 0 || passed === 0 ? 1 : 0);

async function runFiles(group: readonly string[], concurrency: number): Promise<void> {
  if (group.length === 0) return;
  const stream = run({
    files: group.map((file) => resolve(root, file)),
    concurrency,
    cwd: root,
    timeout: HANGS_AFTER_MS,
  });
  stream.on('test:pass', (event) => {
    if (event.details.type !== 'suite' && !isFile(event.name)) passed += 1;
  });
  stream.on('test:fail', (event) => {
    if (event.details.type !== 'suite' || !isSubtests(event.details.error)) failed += 1;
    process.exitCode = 1;
  });
  const report = stream.compose(spec());
  report.pipe(process.stdout, { end: false });
  await new Promise((done) => report.on('end', done));
}

/** With process isolation a file that holds no failing test is itself reported as a passed test. */
function isFile(name: string): boolean {
  return name.endsWith('.test.ts');
}

/** A suite fails by its tests, which are counted themselves, or by its own body, which nothing else reports. */
function isSubtests(error: object): boolean {
  return 'failureType' in error && error.failureType === 'subtestsFailed';
}
