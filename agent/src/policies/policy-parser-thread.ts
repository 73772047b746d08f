// The thread of policy-parser.ts: reads one file for each message.
import { parentPort, workerData } from 'node:worker_threads';
import { createFileParser, type FileParserOptions } from '@weir/l7-policy';

const parse = createFileParser(workerData as FileParserOptions);
parentPort?.on('message', ({ file, text }: { readonly file: string; readonly text: string }) => {
  parentPort?.postMessage(parse(file, text));
});
