// The command line. Each command is a module of its own under cli/; this file only names them.
import { Command, Option } from 'commander';
import { agentCommand } from './cli/agent-command.ts';
import { bpfCommands } from './cli/bpf-commands.ts';
import { demoCommand } from './cli/demo-command.ts';
import { endpointCommands } from './cli/endpoint-commands.ts';
import { envoyCommands } from './cli/envoy-commands.ts';
import { monitorCommand } from './cli/monitor-command.ts';
import { policyCommands } from './cli/policy-commands.ts';
import { metricsCommand, rulesCommand } from './cli/rule-commands.ts';
import { statusCommand } from './cli/status-command.ts';
import { syncCommand } from './cli/sync-command.ts';
import { traceCommand } from './cli/trace-command.ts';
import { uninstallCommand } from './cli/uninstall-command.ts';
import { xdsCommands } from './cli/xds-commands.ts';
import { version } from './version.ts';

const program = new Command('weir')
  .description('API-level policy under workloads: BPF decides, stock Envoy enforces')
  .version(version)
  .showHelpAfterError()
  .addOption(
    new Option('--instance <name>', 'which agent on this machine').default('default').env('WEIR_INSTANCE'),
  )
  .option('--run-dir <dir>', 'where the sockets of the instance are (default: /run/weir/INSTANCE)')
  .option('--json', 'print JSON instead of tables');

for (const command of [
  agentCommand(),
  statusCommand(),
  rulesCommand(),
  metricsCommand(),
  monitorCommand(),
  traceCommand(),
  bpfCommands(),
  policyCommands(),
  endpointCommands(),
  syncCommand(),
  envoyCommands(),
  xdsCommands(),
  uninstallCommand(),
  demoCommand(),
]) {
  program.addCommand(command);
}

try {
  await program.parseAsync();
} catch (error) {
  process.stderr.write(`weir: ${error instanceof Error ? error.message : String(error)}\n`);
  process.exitCode = 1;
}
