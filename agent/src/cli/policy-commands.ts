import { readFileSync } from 'node:fs';
import { Command } from 'commander';
import { createEngine, type Explanation, type Problem } from '@weir/l7-policy';
import { clientOf, globalOptions, print } from './global-options.ts';
import { showProblem } from './show-problem.ts';

/** `weir policy …` */
export function policyCommands(): Command {
  return new Command('policy').description('policy files').addCommand(validateCommand()).addCommand(explainCommand());
}
