import { Command } from 'commander';
import { clientOf, globalOptions, print } from './global-options.ts';

/** `weir sync`: returns when what the files say is in force. */
export function syncCommand(): Command {
  return new Command('sync')
    .description(
      'read all files now and return when what they say is in force; status 1 and the reasons when it cannot be',
    )
    .action(async (_words, command: Command) => {
      const options = globalOptions(command);
      const { missing } = (await clientOf(options).call('POST', '/v1/sync')) as {
        missing: readonly string[];
      };
      print(options, { missing }, () => (missing.length === 0 ? 'in force' : missing.join('\n')));
      if (missing.length > 0) process.exitCode = 1;
    });
}
