import { Command } from 'commander';
import { diffPolicies, type FlowChange } from '../diff/diff-policies.ts';
import { offlineEngine } from '../explain/offline-engine.ts';
import { globalOptions, print } from './global-options.ts';
import { showProblem } from './show-problem.ts';
import { table } from './table.ts';

/** `weir policy diff OLD NEW`: needs neither root nor an agent. */
export function diffCommand(): Command {
  return new Command('diff')
    .description('which flows between workloads change their verdict from one version of policies to another')
    .argument('<old>', 'file or folder')
    .argument('<new>', 'file or folder')
    .requiredOption('--workloads <file>', 'the workloads')
    .option('--exit-code', 'status 1 when a flow changes')
    .action((old: string, now: string, words: { workloads: string; exitCode?: true }, command: Command) => {
      const load = (path: string) => {
        const { engine, problems } = offlineEngine([path], words.workloads);
        const errors = problems.filter(({ severity }) => severity === 'error');
        if (errors.length > 0) throw new Error(`${path} is refused:\n${errors.map(showProblem).join('\n')}`);
        return engine;
      };
      const changes = diffPolicies(load(old), load(now));
      print(globalOptions(command), { changes }, () => showChanges(changes));
      if (words.exitCode === true && changes.length > 0) process.exitCode = 1;
    });
}

function showChanges(changes: readonly FlowChange[]): string {
  if (changes.length === 0) return 'no flow changes';
  return table([
    ['FROM', 'TO', 'PORT', 'REQUEST', 'BEFORE', 'AFTER', 'WHY'],
    ...changes.map(({ from, to, ports, request, before, after, why }) => [
      from.join(','),
      to.join(','),
      ports,
      request ?? '-',
      before,
      after,
      why,
    ]),
  ]);
}
