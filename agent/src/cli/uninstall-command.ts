import { Command } from 'commander';
import { type AgentWords, agentOptions } from '../options.ts';
import { uninstall } from '../uninstall.ts';
import { globalOptions, print } from './global-options.ts';

/** `weir uninstall`: takes an instance off the machine. */
export function uninstallCommand(): Command {
  return new Command('uninstall')
    .description(
      'remove everything of the instance: Envoy, BPF programs and maps, routes, sockets, state. Policy ends',
    )
    .option('--force', 'stop a running agent of the instance first')
    .option('--state-dir <dir>', 'as given to the agent')
    .option('--bpffs <dir>', 'as given to the agent')
    .action(async (words: { force?: boolean }, command: Command) => {
      const options = agentOptions(command.optsWithGlobals<AgentWords>());
      const removed = await uninstall(options, words.force === true);
      print(globalOptions(command), { removed }, () =>
        removed.length === 0 ? 'nothing was there' : `removed: ${removed.join(', ')}`,
      );
    });
}
