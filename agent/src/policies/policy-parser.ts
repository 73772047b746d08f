import { resolve } from 'node:path';
import { Worker } from 'node:worker_threads';
import type { FileParserOptions, ParsedFile } from '@weir/l7-policy';

/** Reads policy files away from the event loop: no file can hold up what is in force. */
export interface PolicyParser {
  /** Never rejects: a file that cannot be read in time or memory has that as its problem. */
  parse(file: string, text: string): Promise<ParsedFile>;
  close(): Promise<void>;
}

/** What one file may take. */
export interface ParserBounds {
  readonly deadlineMs: number;
  readonly memoryMib: number;
}

export const parserBounds: ParserBounds = { deadlineMs: 30_000, memoryMib: 512 };

/** Starts the thread, which ends with the process. One that a file has stopped is replaced. */
export function createPolicyParser(options: FileParserOptions, bounds = parserBounds): PolicyParser {
  let worker = start();
  let last: Promise<unknown> = Promise.resolve();
  let closed = false;

  function start(): Worker {
    const { clusterName, nodeSelectorLabels, kafkaFilter } = options;
    const started = new Worker(resolve(import.meta.dirname, 'policy-parser-thread.ts'), {
      workerData: { clusterName, nodeSelectorLabels, kafkaFilter },
      resourceLimits: { maxOldGenerationSizeMb: bounds.memoryMib },
    });
    started.unref();
    // Heard by whoever waits for an answer; without a listener it would end the process.
    started.on('error', () => undefined);
    return started;
  }

  async function ask(file: string, text: string): Promise<ParsedFile> {
    const asked = worker;
    const failure = Promise.withResolvers<string>();
    const answer = Promise.withResolvers<ParsedFile>();
    const deadline = setTimeout(
      () => failure.resolve(`reading it takes more than ${bounds.deadlineMs / 1000} s`),
      bounds.deadlineMs,
    );
    const onError = (error: unknown): void => failure.resolve(describe(error, bounds));
    const onExit = (): void => failure.resolve('what reads it has ended');
    asked.once('message', answer.resolve);
    asked.once('error', onError);
    asked.once('exit', onExit);
    asked.ref();
    asked.postMessage({ file, text });
    const result = await Promise.race([answer.promise, failure.promise]);
    clearTimeout(deadline);
    asked.unref();
    asked.off('message', answer.resolve);
    asked.off('error', onError);
    asked.off('exit', onExit);
    if (typeof result !== 'string') return result;
    if (!closed) worker = start();
    await asked.terminate();
    return refused(file, result);
  }

  return {
    parse(file, text) {
      const parsed = last.then(() => ask(file, text));
      last = parsed;
      return parsed;
    },
    async close() {
      closed = true;
      await worker.terminate();
    },
  };
}

function describe(error: unknown, { memoryMib }: ParserBounds): string {
  const code = error instanceof Error && 'code' in error ? error.code : undefined;
  return code === 'ERR_WORKER_OUT_OF_MEMORY'
    ? `reading it takes more than ${memoryMib} MiB of memory`
    : `reading it failed: ${error instanceof Error ? error.message : String(error)}`;
}

function refused(file: string, message: string): ParsedFile {
  const hint = 'what the file said last stays in force; split it';
  return { documents: null, problems: [{ severity: 'error', file, line: 1, column: 1, message, hint }] };
}
