import { Command } from 'commander';
import type { Flow } from '../flows/flow.ts';
import { clientOf, globalOptions } from './global-options.ts';
import { showFlow } from './show-flow.ts';

interface MonitorWords {
  readonly last: string;
  readonly follow: boolean;
  readonly denied?: boolean;
  readonly kind?: string;
}

/** `weir monitor`: flows as they happen. */
export function monitorCommand(): Command {
  return new Command('monitor')
    .description('verdicts on connections and requests, as they happen')
    .option('--last <n>', 'begin with the last N flows', '0')
    .option('--no-follow', 'end after those')
    .option('--denied', 'only what was refused')
    .option('--kind <kind>', 'only `connection` or only `request`')
    .action(async (words: MonitorWords, command: Command) => {
      const options = globalOptions(command);
      const stop = new AbortController();
      for (const name of ['SIGTERM', 'SIGINT'] as const) process.once(name, () => stop.abort());
      const path = `/v1/flows?last=${encodeURIComponent(words.last)}&follow=${words.follow}`;
      for await (const item of clientOf(options).stream(path, stop.signal)) {
        const flow = item as Flow;
        if (words.denied === true && flow.verdict !== 'denied') continue;
        if (words.kind !== undefined && words.kind !== flow.kind) continue;
        process.stdout.write(`${options.json === true ? JSON.stringify(flow) : showFlow(flow)}\n`);
      }
    });
}
