import type { Explanation } from '@weir/l7-policy';
import { Command } from 'commander';
import { type FlowQuery, parseFlowQuery } from '../explain/flow-query.ts';
import { offlineEngine } from '../explain/offline-engine.ts';
import { clientOf, globalOptions, print } from './global-options.ts';
import { showExplanation } from './show-explanation.ts';

interface ExplainWords extends Omit<FlowQuery, 'headers'> {
  readonly header: readonly string[];
  readonly policies?: readonly string[];
  readonly workloads?: string;
}

/** `weir policy explain`: asks the agent, or files with `--policies`. */
export function explainCommand(): Command {
  const several = (value: string, before: readonly string[]): readonly string[] => [...before, value];
  return new Command('explain')
    .description('what becomes of a connection or request, and which lines of which file say so')
    .requiredOption('--from <peer>', 'a workload, an address, or labels (app=web,team=blue)')
    .requiredOption('--to <peer>', 'likewise')
    .requiredOption('--port <port[/protocol]>', 'destination port; TCP when no protocol is named')
    .option('--http <request>', "'METHOD /path?query'")
    .option('-H, --header <header>', "'name: value' (repeatable)", several, [])
    .option('--grpc <call>', 'package.Service/Method')
    .option('--dns <name>', 'a name that is looked up')
    .option('--policies <path...>', 'ask these files and folders instead of the agent')
    .option('--workloads <file>', 'with --policies: the workloads')
    .action(async (words: ExplainWords, command: Command) => {
      const options = globalOptions(command);
      const { header, policies, workloads, ...question } = words;
      const query: FlowQuery = { ...question, headers: header };
      const explanation =
        policies === undefined
          ? ((await clientOf(options).call('POST', '/v1/explain', query)) as Explanation)
          : offlineEngine(policies, workloads).engine.explain(parseFlowQuery(query));
      print(options, explanation, showExplanation);
    });
}
