import { writeFileSync } from 'node:fs';
import { Command } from 'commander';
import { junitReport } from '../policy-tests/junit.ts';
import { runTestFiles } from '../policy-tests/run-test-files.ts';
import { showReport } from '../policy-tests/show-report.ts';
import { globalOptions, print } from './global-options.ts';

/** `weir policy test FILE…`: needs neither root nor an agent nor Envoy. */
export function testCommand(): Command {
  return new Command('test')
    .description('run unit tests of policies; status 1 when one fails (docs/policy-tests.md)')
    .argument('<file...>', 'test files')
    .option('--junit <file>', 'write the results as JUnit XML too')
    .action((files: readonly string[], { junit }: { junit?: string }, command: Command) => {
      const report = runTestFiles(files);
      if (junit !== undefined) writeFileSync(junit, junitReport(report));
      print(globalOptions(command), report, showReport);
      if (report.failed > 0) process.exitCode = 1;
      if (!report.files.some(({ kind }) => kind !== 'skipped')) {
        throw new Error('none of the files is a test file; docs/policy-tests.md describes them');
      }
    });
}
