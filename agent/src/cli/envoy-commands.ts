import { instanceOf } from '@weir/redirect';
import { Command } from 'commander';
import { bootstrapOf, runDirectory } from '../options.ts';
import { globalOptions } from './global-options.ts';

/** `weir envoy bootstrap`: for those who run Envoy themselves. */
export function envoyCommands(): Command {
  const bootstrap = new Command('bootstrap')
    .description('print the bootstrap of an Envoy that serves `weir agent --external-envoy`')
    .action((_words, command: Command) => {
      const options = globalOptions(command);
      const directory = runDirectory(options);
      process.stdout.write(
        `${bootstrapOf({ instance: instanceOf(options.instance), runDirectory: directory })}\n`,
      );
    });
  return new Command('envoy').description('the proxy').addCommand(bootstrap);
}
