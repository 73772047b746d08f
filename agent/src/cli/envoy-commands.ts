import { instanceOf } from '@weir/redirect';
import { Command } from 'commander';
import { type AgentWords, bootstrapOf, envoyCaps, runDirectory } from '../options.ts';
import { globalOptions } from './global-options.ts';

/** `weir envoy bootstrap`: for those who run Envoy themselves. */
export function envoyCommands(): Command {
  const bootstrap = new Command('bootstrap')
    .description('print the bootstrap of an Envoy that serves `weir agent --external-envoy`')
    .option('--envoy-connections <n>', 'connections that Envoy accepts at once (default: 100000)')
    .option('--envoy-heap <mib>', 'heap at which Envoy refuses new work (default: half of the memory)')
    .action((words: Pick<AgentWords, 'envoyConnections' | 'envoyHeap'>, command: Command) => {
      const options = globalOptions(command);
      const directory = runDirectory(options);
      process.stdout.write(
        `${bootstrapOf({ instance: instanceOf(options.instance), runDirectory: directory, envoyCaps: envoyCaps(words) })}\n`,
      );
    });
  return new Command('envoy').description('the proxy').addCommand(bootstrap);
}
