import { Command } from 'commander';
import { cleanUp } from '../cleanup.ts';
import { type AgentWords, agentOptions } from '../options.ts';
import { globalOptions, print } from './global-options.ts';

/** `weir cleanup`: takes an instance off the machine. */
export function cleanupCommand(): Command {
  return new Command('cleanup')
    .description(
      'remove everything of the instance: Envoy, BPF programs and maps, routes, sockets, state. Policy ends',
    )
    .option('--force', 'stop a running agent of the instance first')
    .option('--state-dir <dir>', 'as given to the agent')
    .option('--bpffs <dir>', 'as given to the agent')
    .action(async (words: { force?: boolean }, command: Command) => {
      const options = agentOptions(command.optsWithGlobals<AgentWords>());
      const removed = await cleanUp(options, words.force === true);
      print(globalOptions(command), { removed }, () =>
        removed.length === 0 ? 'nothing was there' : `removed: ${removed.join(', ')}`,
      );
    });
}
