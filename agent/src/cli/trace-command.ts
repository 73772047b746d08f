import { existsSync, readlinkSync } from 'node:fs';
import { openDatapathView, openPacketRunner } from '@weir/bpf';
import { Command } from 'commander';
import type { Status } from '../api/api-types.ts';
import { ControlError } from '../api/control-client.ts';
import type { QueryExplanation } from '../explain/explain-query.ts';
import { parseFlowQuery } from '../explain/flow-query.ts';
import { listLinks, listUplinks } from '../network/links.ts';
import { runIp } from '../network/run-ip.ts';
import { agentOptions, DEFAULT_BPFFS } from '../options.ts';
import { type Trace, traceFlow } from '../trace/trace-flow.ts';
import { clientOf, type GlobalOptions, globalOptions, print } from './global-options.ts';
import { showTrace } from './show-trace.ts';

interface TraceWords {
  readonly from: string;
  readonly to: string;
  readonly port: string;
  readonly sourcePort: string;
  readonly bpffs: string;
}

/** `weir trace`: runs the programs that are in force on a packet of our making. */
export function traceCommand(): Command {
  return new Command('trace')
    .description(
      'what the kernel would do with a new connection, and why; needs no agent, and changes nothing',
    )
    .requiredOption('--from <peer>', 'an address, or a workload while the agent runs')
    .requiredOption('--to <peer>', 'likewise')
    .requiredOption(
      '--port <port[/protocol]>',
      'destination port, TCP when no protocol is named; for ICMP the type',
    )
    .option('--source-port <port>', 'where the connection comes from', '40000')
    .option('--bpffs <dir>', 'as given to the agent', DEFAULT_BPFFS)
    .action(async (words: TraceWords, command: Command) => {
      const options = globalOptions(command);
      print(options, await trace(options, words), showTrace);
    });
}

async function trace(options: GlobalOptions, words: TraceWords): Promise<Trace> {
  const { instance } = agentOptions({ instance: options.instance });
  const { flow } = parseFlowQuery({ from: words.from, to: words.to, port: words.port });
  const status = await ask<Status>(options, 'GET', '/v1/status');
  if (status !== null) assertSameNetwork(status.pid);
  const explanation = await ask<QueryExplanation>(options, 'POST', '/v1/explain', {
    from: words.from,
    to: words.to,
    port: words.port,
  });
  const where = { bpffs: words.bpffs, instance: instance.name };
  const view = openDatapathView(where);
  const runner = openPacketRunner({ ...where, marks: instance.marks });
  try {
    return traceFlow(
      { ...flow, sourcePort: Number(words.sourcePort) },
      {
        view,
        runner,
        workloads: status?.workloads ?? null,
        explanation,
        links: await listLinks(runIp),
        uplinks: await listUplinks(runIp),
      },
    );
  } finally {
    runner.close();
    view.close();
  }
}

/** The programs run on interfaces of this network namespace. */
function assertSameNetwork(agent: number): void {
  const [here, there] = ['self', agent].map((pid) => {
    const path = `/proc/${pid}/ns/net`;
    return existsSync(path) ? readlinkSync(path) : undefined;
  });
  if (there !== undefined && here !== there)
    throw new Error(
      `the agent is in another network namespace: nsenter --net=/proc/${agent}/ns/net weir trace …`,
    );
}

/** Null when no agent answers. */
async function ask<Reply>(
  options: GlobalOptions,
  method: string,
  path: string,
  body?: unknown,
): Promise<Reply | null> {
  try {
    return (await clientOf(options).call(method, path, body)) as Reply;
  } catch (error) {
    if (error instanceof ControlError) return null;
    throw error;
  }
}
