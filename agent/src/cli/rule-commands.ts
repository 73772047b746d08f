import { Command } from 'commander';
import type { RuleStatus } from '../api/api-types.ts';
import { clientOf, globalOptions, print } from './global-options.ts';
import { table } from './table.ts';

/** `weir rules`: what each rule let through. */
export function rulesCommand(): Command {
  return new Command('rules')
    .description('the rules that the proxy enforces, and how many requests each let through')
    .action(async (_words, command: Command) => {
      const options = globalOptions(command);
      const rules = (await clientOf(options).call('GET', '/v1/rules')) as readonly RuleStatus[];
      print(options, rules, showRules);
    });
}

/** `weir metrics`: all counters for Prometheus. */
export function metricsCommand(): Command {
  return new Command('metrics')
    .description("all counters in Prometheus's text format; also GET /v1/metrics on the control socket")
    .action(async (_words, command: Command) => {
      process.stdout.write(await clientOf(globalOptions(command)).read('/v1/metrics'));
    });
}

function showRules(rules: readonly RuleStatus[]): string {
  return table([
    ['REQUESTS', 'RULE', 'AT'],
    ...rules.map(({ requests, rule, places }) => [String(requests), rule, places.join(', ')]),
  ]);
}
