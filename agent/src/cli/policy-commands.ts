import { Command } from 'commander';
import { explainCommand } from './policy-explain.ts';
import { validateCommand } from './policy-validate.ts';

/** `weir policy validate | explain`. */
export function policyCommands(): Command {
  return new Command('policy')
    .description('policy files')
    .addCommand(validateCommand())
    .addCommand(explainCommand());
}
