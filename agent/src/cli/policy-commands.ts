import { Command } from 'commander';
import { applyCommand, removeCommand } from './policy-apply.ts';
import { diffCommand } from './policy-diff.ts';
import { explainCommand } from './policy-explain.ts';
import { testCommand } from './policy-test.ts';
import { validateCommand } from './policy-validate.ts';

/** `weir policy validate | explain | test | diff | apply | remove`. */
export function policyCommands(): Command {
  return new Command('policy')
    .description('policy files')
    .addCommand(validateCommand())
    .addCommand(explainCommand())
    .addCommand(testCommand())
    .addCommand(diffCommand())
    .addCommand(applyCommand())
    .addCommand(removeCommand());
}
