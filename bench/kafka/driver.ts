// A Kafka client that does one thing: `driver.ts HOST PORT MODE CONNECTIONS DEPTH MS`, in a process of its own.
// MODE is `produce` (a batch of one record of 1 kB), `bulk` (of 64 kB) or `consume` (fetches of 1 MB from the start).
// Prints what it saw as JSON.
import { connect, type Socket } from 'node:net';
import { batchOf, errorOf, fetchRequest, frames, produceRequest, TOPICS } from './messages.ts';

const [host = '', port = '', mode = '', connections = '1', depth = '1', forMs = '1000'] =
  process.argv.slice(2);

interface Tally {
  answers: number;
  bytes: number;
  refused: number;
  readonly latenciesUs: number[];
}

const tally: Tally = { answers: 0, bytes: 0, refused: 0, latenciesUs: [] };

async function open(): Promise<Socket> {
  const socket = connect({ host, port: Number(port), noDelay: true });
  await new Promise<void>((resolve, reject) => {
    socket.once('connect', resolve);
    socket.once('error', reject);
  });
  return socket;
}

/** Keeps `depth` requests in flight until the deadline, then waits for what is left. */
function drive(socket: Socket, request: Buffer, api: 'produce' | 'fetch', deadline: number): Promise<void> {
  return new Promise((resolve, reject) => {
    const sentAt: number[] = [];
    const send = (): void => {
      sentAt.push(performance.now());
      socket.write(request);
    };
    socket.on('close', () =>
      sentAt.length === 0 ? resolve() : reject(new Error('the connection was closed')),
    );
    frames(socket, (frame) => {
      const now = performance.now();
      tally.latenciesUs.push((now - (sentAt.shift() ?? now)) * 1000);
      tally.answers += 1;
      tally.bytes += api === 'fetch' ? frame.length : request.length;
      if (errorOf(frame, api) !== 0) tally.refused += 1;
      if (now < deadline) send();
      else if (sentAt.length === 0) socket.end();
    });
    for (let i = 0; i < Number(depth); i++) send();
  });
}

const api = mode === 'consume' ? 'fetch' : 'produce';
const topic = mode === 'bulk' || mode === 'consume' ? TOPICS.large : TOPICS.small;
const first = await open();
const request =
  api === 'fetch' ? fetchRequest(topic, 1 << 20) : produceRequest(topic, await batchOf(first, topic));
first.destroy();
const sockets = await Promise.all(Array.from({ length: Number(connections) }, open));
const startedAt = performance.now();
await Promise.all(sockets.map((socket) => drive(socket, request, api, startedAt + Number(forMs))));
const seconds = (performance.now() - startedAt) / 1000;
const sorted = tally.latenciesUs.sort((a, b) => a - b);
const at = (share: number): number => sorted[Math.floor(sorted.length * share)] ?? Number.NaN;
console.log(
  JSON.stringify({
    requests: tally.answers,
    rate: tally.answers / seconds,
    mibPerSecond: tally.bytes / seconds / 2 ** 20,
    refused: tally.refused,
    p50Us: at(0.5),
    p99Us: at(0.99),
  }),
);
