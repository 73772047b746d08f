/** Runs in a namespace as a child of the test: a broker that repeats, or a client that sends what it is given. */
import { connect, createServer, type Socket } from 'node:net';
import { readRequest, responseFrame, type Structure, schemaOf } from './kafka-codec.ts';

/** An order of the test. Frames are base64. */
export type WireOrder =
  | { readonly kind: 'serve'; readonly port: number }
  | { readonly kind: 'received' }
  /** Answers the fetches that wait, with records. */
  | { readonly kind: 'release' }
  | {
      readonly kind: 'exchange';
      readonly host: string;
      readonly port: number;
      readonly frames: readonly string[];
      /** Frames to wait for; the end of the connection counts as well. */
      readonly answers: number;
      /** Bytes of each write; 0: all at once. */
      readonly pieces: number;
      /** Name of a connection that stays open for the next exchange; '' for one of its own. */
      readonly connection: string;
      /** Say the end after the last byte, and go on listening. */
      readonly end: boolean;
    };

export interface Exchange {
  readonly answers: readonly string[];
  readonly ended: boolean;
}

const received: string[] = [];
const waiting: (() => void)[] = [];
const open = new Map<string, Socket>();

/** A fetch that wants to wait so long is answered at the test's word. */
export const longPollMs = 60_000;

process.on('message', ({ id, order }: { id: number; order: WireOrder }) => {
  perform(order).then(
    (value) => process.send?.({ id, value }),
    (error: Error) => process.send?.({ id, error: error.message }),
  );
});
process.on('disconnect', () => process.exit(0));

async function perform(order: WireOrder): Promise<unknown> {
  switch (order.kind) {
    case 'serve':
      return serve(order.port);
    case 'received':
      return received.splice(0);
    case 'release':
      return release();
    case 'exchange':
      return exchange(order);
  }
}

/** Notes every request and answers it with a message of its schema that holds nothing. */
function serve(port: number): Promise<null> {
  const server = createServer((socket) => {
    socket.on('error', () => socket.destroy());
    eachFrame(socket, (bytes) => {
      received.push(bytes.toString('base64'));
      const { apiKey, version, correlation, body } = readRequest(bytes);
      const schema = schemaOf(apiKey, version);
      if (apiKey === 1 && body['MaxWaitMs'] === longPollMs) {
        const [topic] = body['Topics'] as readonly Structure[];
        const partition = { PartitionIndex: 0, Records: Buffer.from('a record') };
        const found = { SessionId: 9, Responses: [{ ...topic, Partitions: [partition] }] };
        waiting.push(() => socket.write(responseFrame(schema, version, correlation, found)));
        return;
      }
      const versions = apiKey === 18 ? { ApiKeys: [{ ApiKey: 0, MinVersion: 0, MaxVersion: 99 }] } : {};
      socket.write(responseFrame(schema, version, correlation, versions));
    });
  });
  return new Promise((resolve, reject) => {
    server.on('error', reject);
    server.listen(port, '0.0.0.0', () => resolve(null));
  });
}

function release(): number {
  return waiting.splice(0).map((answer) => answer()).length;
}

function exchange(order: Extract<WireOrder, { kind: 'exchange' }>): Promise<Exchange> {
  const bytes = Buffer.concat(order.frames.map((frame) => Buffer.from(frame, 'base64')));
  return new Promise((resolve, reject) => {
    const answers: string[] = [];
    const kept = open.get(order.connection);
    const socket = kept ?? connect({ host: order.host, port: order.port, noDelay: true });
    socket.removeAllListeners();
    const timer = setTimeout(() => {
      reject(new Error(`${answers.length} of ${order.answers} answers came in time`));
      socket.destroy();
    }, 20_000);
    const done = (ended: boolean) => {
      clearTimeout(timer);
      if (order.connection === '' || ended) socket.destroy();
      if (ended) open.delete(order.connection);
      else if (order.connection !== '') {
        // What comes before the next exchange waits for it.
        socket.removeAllListeners('data').pause();
        open.set(order.connection, socket);
      }
      resolve({ answers, ended });
    };
    eachFrame(socket, (frame) => {
      answers.push(frame.toString('base64'));
      if (answers.length === order.answers) done(false);
    });
    socket.on('error', () => done(true));
    socket.on('close', () => done(true));
    const start = () => {
      const size = order.pieces === 0 ? bytes.length : order.pieces;
      const next = (at: number): void => {
        if (at >= bytes.length || socket.destroyed) {
          if (order.end) socket.end();
          return;
        }
        socket.write(bytes.subarray(at, at + size), () => next(at + size));
      };
      next(0);
      if (order.answers === 0) done(false);
    };
    if (kept?.destroyed === true) done(true);
    else if (kept !== undefined) {
      kept.resume();
      start();
    } else socket.on('connect', start);
  });
}

function eachFrame(socket: Socket, take: (frame: Buffer) => void): void {
  let pending = Buffer.alloc(0);
  socket.on('data', (data) => {
    pending = Buffer.concat([pending, data]);
    while (pending.length >= 4 && pending.length >= 4 + pending.readInt32BE(0)) {
      const size = 4 + pending.readInt32BE(0);
      take(pending.subarray(0, size));
      pending = pending.subarray(size);
    }
  });
}

process.send?.({ id: 0 });
