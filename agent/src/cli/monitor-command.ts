import { openDatapathView } from '@weir/bpf';
import { Command, Option } from 'commander';
import { ControlError } from '../api/control-client.ts';
import type { Flow, FlowPeer } from '../flows/flow.ts';
import { flowFromDatapath } from '../flows/from-datapath.ts';
import { DEFAULT_BPFFS } from '../options.ts';
import { clientOf, type GlobalOptions, globalOptions } from './global-options.ts';
import { showFlow } from './show-flow.ts';

interface MonitorWords {
  readonly last: string;
  readonly follow: boolean;
  readonly denied?: boolean;
  readonly drops?: boolean;
  readonly bpffs: string;
  readonly kind?: string;
}

/** `weir monitor`: flows as they happen. */
export function monitorCommand(): Command {
  return new Command('monitor')
    .description('verdicts on connections and requests, as they happen')
    .option('--last <n>', 'begin with the last N flows', '0')
    .option('--no-follow', 'end after those')
    .option('--denied', 'only what was refused')
    .option('--drops', 'only what the kernel dropped; without an agent too')
    .option('--bpffs <dir>', 'as given to the agent', DEFAULT_BPFFS)
    .addOption(new Option('--kind <kind>', 'only flows of this kind').choices(['connection', 'request']))
    .action(async (words: MonitorWords, command: Command) => {
      const options = globalOptions(command);
      const stop = new AbortController();
      for (const name of ['SIGTERM', 'SIGINT'] as const) process.once(name, () => stop.abort());
      if (words.drops === true && !(await answers(options))) {
        await followKernel(options, words.bpffs, stop.signal);
        return;
      }
      const path = `/v1/flows?last=${encodeURIComponent(words.last)}&follow=${words.follow}`;
      for await (const item of clientOf(options).stream(path, stop.signal)) {
        const flow = item as Flow;
        if (words.denied === true && flow.verdict !== 'denied') continue;
        if (words.drops === true && !isDrop(flow)) continue;
        if (words.kind !== undefined && words.kind !== flow.kind) continue;
        writeFlow(options, flow);
      }
    });
}

function isDrop({ kind, verdict }: Flow): boolean {
  return kind === 'connection' && verdict === 'denied';
}

async function answers(options: GlobalOptions): Promise<boolean> {
  try {
    await clientOf(options).call('GET', '/v1/status');
    return true;
  } catch (error) {
    if (error instanceof ControlError) return false;
    throw error;
  }
}

/** Reads the ring buffer itself, which only one may do: no agent runs. Names of workloads are not known then. */
async function followKernel(options: GlobalOptions, bpffs: string, signal: AbortSignal): Promise<void> {
  process.stderr.write('weir: no agent answers; this is what the kernel says\n');
  const view = openDatapathView({ bpffs, instance: options.instance });
  const nobody = {
    peer: (address: string, port: number, identity: number): FlowPeer => ({
      address,
      port,
      identity,
      endpoint: null,
      labels: [],
    }),
  };
  const stream = view.readEvents((events) => {
    for (const event of events) {
      const flow: Flow = { sequence: 0, ...flowFromDatapath(event, nobody, new Date()) };
      if (isDrop(flow)) writeFlow(options, flow);
    }
  });
  await new Promise<void>((resolve) => signal.addEventListener('abort', () => resolve()));
  await stream.close();
  view.close();
}

function writeFlow({ json }: GlobalOptions, flow: Flow): void {
  process.stdout.write(`${json === true ? JSON.stringify(flow) : showFlow(flow)}\n`);
}
