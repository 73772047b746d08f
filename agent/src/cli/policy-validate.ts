import type { Problem } from '@weir/l7-policy';
import { Command } from 'commander';
import { offlineEngine } from '../explain/offline-engine.ts';
import { proxyProblems } from '../policies/proxy-problems.ts';
import { globalOptions, print } from './global-options.ts';
import { showProblem } from './show-problem.ts';

/** `weir policy validate FILE…`: needs neither root nor an agent. */
export function validateCommand(): Command {
  return new Command('validate')
    .description('check policy files; status 1 when a document would be refused')
    .argument('<path...>', 'files, or folders of files')
    .action((paths: readonly string[], _words, command: Command) => {
      const problems = fileProblems(paths);
      print(globalOptions(command), { problems }, () => validationText(problems));
      if (problems.some(isError)) process.exitCode = 1;
    });
}

/** What is wrong with files, and with files in folders, in the engine's eyes and in the proxy's. */
export function fileProblems(paths: readonly string[]): readonly Problem[] {
  const { engine, problems } = offlineEngine(paths, undefined);
  return [...problems, ...proxyProblems(engine)].sort(byPlace);
}

/** Problems a line each, and how many there are. */
export function validationText(problems: readonly Problem[]): string {
  const errors = problems.filter(isError).length;
  return [...problems.map(showProblem), summary(errors, problems.length - errors)].join('\n');
}

function isError({ severity }: Problem): boolean {
  return severity === 'error';
}

function byPlace(a: Problem, b: Problem): number {
  if (a.file !== b.file) return a.file < b.file ? -1 : 1;
  return a.line - b.line || a.column - b.column;
}

function summary(errors: number, warnings: number): string {
  const count = (number: number, what: string) => `${number} ${what}${number === 1 ? '' : 's'}`;
  return errors + warnings === 0 ? 'no problems' : `${count(errors, 'error')}, ${count(warnings, 'warning')}`;
}
