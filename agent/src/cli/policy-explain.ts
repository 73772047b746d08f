import { readFileSync } from 'node:fs';
import { Command } from 'commander';
import { explainQuery, type QueryExplanation } from '../explain/explain-query.ts';
import type { FlowQuery } from '../explain/flow-query.ts';
import { offlineEngine } from '../explain/offline-engine.ts';
import { clientOf, globalOptions, print } from './global-options.ts';
import { showExplanation } from './show-explanation.ts';

interface ExplainWords extends Omit<FlowQuery, 'headers' | 'raw'> {
  readonly file?: string;
  readonly header: readonly string[];
  readonly policies?: readonly string[];
  readonly workloads?: string;
}

/** `weir policy explain`: asks the agent, or files with `--policies`. */
export function explainCommand(): Command {
  const several = (value: string, before: readonly string[]): readonly string[] => [...before, value];
  return new Command('explain')
    .description('what becomes of a connection or request, and which lines of which file say so')
    .requiredOption('--from <peer>', 'a workload, an address, labels (app=web,team=blue), or reserved:NAME')
    .requiredOption('--to <peer>', 'likewise')
    .requiredOption('--port <port[/protocol]>', 'destination port; TCP when no protocol is named')
    .option('--http <request>', "'METHOD /path?query'")
    .option('-H, --header <header>', "'name: value' (repeatable)", several, [])
    .option('--grpc <call>', 'package.Service/Method')
    .option('--file <file>', 'a raw HTTP/1 request; says when Envoy refuses or normalises it')
    .option('--kafka <request>', "'produce orders', 'fetch a b version=11 client=reader'")
    .option('--dns <name>', 'a name that is looked up')
    .option('--sni <name>', 'the server name that a TLS client sends')
    .option('--policies <path...>', 'ask these files and folders instead of the agent')
    .option('--workloads <file>', 'with --policies: the workloads')
    .action(async (words: ExplainWords, command: Command) => {
      const options = globalOptions(command);
      const { header, policies, workloads, file, ...question } = words;
      const raw = file === undefined ? {} : { raw: readFileSync(file, 'latin1') };
      const query: FlowQuery = { ...question, ...raw, headers: header };
      const explanation =
        policies === undefined
          ? ((await clientOf(options).call('POST', '/v1/explain', query)) as QueryExplanation)
          : explainQuery(offlineEngine(policies, workloads).engine, query);
      print(options, explanation, showExplanation);
    });
}
