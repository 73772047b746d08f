import { Command } from 'commander';
import { pino } from 'pino';
import { startAgent } from '../agent.ts';
import { type AgentWords, agentOptions } from '../options.ts';

/** `weir agent`: runs until it is told to stop. */
export function agentCommand(): Command {
  return new Command('agent')
    .description(
      'protect the workloads of this node; runs until SIGTERM or SIGINT and leaves policy in force',
    )
    .option('--policies <dir>', 'folder of policy files, watched (default: /etc/weir/policies)')
    .option(
      '--secrets <dir>',
      'folder of secrets, watched: each file is named NAMESPACE.NAME and holds the value',
    )
    .option('--secret-env <namespace/name=variable...>', 'secrets whose values stand in the environment')
    .option('--workloads <file>', 'the workloads of this node, watched')
    .option('--state-dir <dir>', 'what must survive a restart (default: /var/lib/weir/INSTANCE)')
    .option('--bpffs <dir>', 'where a BPF file system is mounted (default: /sys/fs/bpf)')
    .option('--envoy <path>', 'the Envoy to run (default: the one that `make setup` installed)')
    .option('--external-envoy', 'run no Envoy: it runs by itself from `weir envoy bootstrap`')
    .option(
      '--uplink <name...>',
      'interfaces to the rest of the world (default: those of the default routes)',
    )
    .option(
      '--workload-cidr <cidr...>',
      'where only workloads of this node have addresses: those that nobody announced are shut off (Linux 6.4)',
    )
    .option(
      '--deny-action <action>',
      'what a refused connection hears where the workload does not say: drop (nothing), or reset (a RST, for UDP an ICMP error)',
      'drop',
    )
    .option(
      '--accelerate <when>',
      'proxied connections go around TCP inside the node: auto (where the kernel lets splice(2) see it), on, or off',
      'auto',
    )
    .option('--envoy-concurrency <n>', 'worker threads of Envoy (default: one per CPU)')
    .option('--envoy-connections <n>', 'connections that Envoy accepts at once (default: 100000)')
    .option('--envoy-heap <mib>', 'heap at which Envoy refuses new work (default: half of the memory)')
    .option('--proxy-ports <first-last>', 'loopback ports for listeners (default: 14000-18095)')
    .option('--log-level <level>', 'trace, debug, info, warn, error', 'info')
    .action(async (_words, command: Command) => {
      const options = agentOptions(command.optsWithGlobals<AgentWords>(), process.env);
      const log = pino({ level: options.logLevel });
      const agent = await startAgent(options, log);
      const signal = await new Promise<string>((resolve) => {
        for (const name of ['SIGTERM', 'SIGINT'] as const) process.once(name, resolve);
      });
      log.info({ signal }, 'agent stops; policy stays in force');
      await agent.stop();
    });
}
