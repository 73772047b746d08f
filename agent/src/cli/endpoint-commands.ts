import { instanceOf } from '@weir/redirect';
import { Command } from 'commander';
import type { Status } from '../api/api-types.ts';
import { ControlError } from '../api/control-client.ts';
import { closeInterface } from '../network/close-interface.ts';
import { DEFAULT_BPFFS } from '../options.ts';
import { clientOf, globalOptions, print } from './global-options.ts';
import { table } from './table.ts';

interface AddWords {
  readonly label: readonly string[];
  readonly address: readonly string[];
  readonly namespace: string;
  readonly interface?: string;
  readonly netns?: string;
  readonly link?: string;
  readonly namedPort: readonly string[];
  readonly denyAction?: string;
  readonly bpffs: string;
}

/** `weir endpoint add | remove | list`. */
export function endpointCommands(): Command {
  const several = (value: string, before: readonly string[]): readonly string[] => [...before, value];
  const add = new Command('add')
    .description('protect a workload of this node; adding one that is there replaces it')
    .argument('<name>', 'unique on the node')
    .requiredOption('--label <key=value>', 'a label (repeatable)', several, [])
    .requiredOption('--address <ip>', 'an address that the workload owns (repeatable)', several, [])
    .option('--namespace <name>', 'policy namespace', 'default')
    .option('--interface <name>', 'host side of its veth pair')
    .option('--netns <name>', 'its network namespace, instead of --interface')
    .option('--link <name>', 'the link inside that namespace (default: eth0)')
    .option('--bpffs <dir>', 'as given to the agent', DEFAULT_BPFFS)
    .option('--deny-action <action>', 'what connections hear that its policy refuses: drop or reset')
    .option('--named-port <name=port/protocol>', 'a named port (repeatable)', several, [])
    .action(async (name: string, words: AddWords, command: Command) => {
      const { netns, link, denyAction } = words;
      const options = globalOptions(command);
      const body = {
        name,
        namespace: words.namespace,
        labels: Object.fromEntries(words.label.map((pair) => splitPair('--label', pair))),
        addresses: words.address,
        ...(words.interface === undefined ? {} : { interface: words.interface }),
        ...(netns === undefined ? {} : { netns }),
        ...(link === undefined ? {} : { link }),
        ...(denyAction === undefined ? {} : { denyAction }),
        namedPorts: Object.fromEntries(words.namedPort.map((pair) => splitPair('--named-port', pair))),
      };
      try {
        await clientOf(options).call('PUT', '/v1/endpoints', body);
      } catch (error) {
        if (!(error instanceof ControlError && error.unreachable)) throw error;
        const link = await closeInterface(instanceOf(options.instance), words.bpffs, words);
        const closed = link === undefined ? '' : `; nothing passes on ${link} until an agent knows ${name}`;
        throw new Error(`${error.message}${closed}`);
      }
      print(options, { name }, () => `${name} is added`);
    });
  const remove = new Command('remove')
    .description('stop protecting a workload that was added')
    .argument('<name>')
    .action(async (name: string, _words, command: Command) => {
      const options = globalOptions(command);
      await clientOf(options).call('DELETE', `/v1/endpoints?name=${encodeURIComponent(name)}`);
      print(options, { name }, () => `${name} is removed`);
    });
  const list = new Command('list')
    .description('the workloads of this node')
    .action(async (_words, command: Command) => {
      const options = globalOptions(command);
      const { workloads } = (await clientOf(options).call('GET', '/v1/status')) as Status;
      print(options, workloads, () =>
        table([
          ['NAME', 'NAMESPACE', 'ADDRESSES', 'IDENTITY', 'FROM'],
          ...workloads.map((item) => [
            item.name,
            item.namespace,
            item.addresses.join(','),
            String(item.identity ?? '-'),
            item.origin,
          ]),
        ]),
      );
    });
  return new Command('endpoint')
    .description('the workloads of this node')
    .addCommand(add)
    .addCommand(remove)
    .addCommand(list);
}

function splitPair(option: string, pair: string): [string, string] {
  const at = pair.indexOf('=');
  if (at < 1) throw new Error(`${option} ${pair}: expected KEY=VALUE`);
  return [pair.slice(0, at), pair.slice(at + 1)];
}
