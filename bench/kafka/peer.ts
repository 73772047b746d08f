// A client or a broker in a namespace: `node peer.ts serve PORT`, or `node peer.ts ask` with orders over IPC.
import { connect, createServer, type Socket } from 'node:net';

/** What to ask: so many requests, so many at once, each answered with one frame. */
export interface Load {
  readonly host: string;
  readonly port: number;
  /** Base64 of a frame; its correlation id is overwritten. */
  readonly frame: string;
  readonly requests: number;
  readonly inFlight: number;
  /** End with the first request that is refused. */
  readonly untilRefused: boolean;
}

/** What it took. */
export interface Measured {
  readonly seconds: number;
  /** Microseconds of each request, where one was in flight. */
  readonly micros: readonly number[];
  /** When the first answer came that is no broker's (CLOCK_MONOTONIC, nanoseconds); null: none did. */
  readonly refusedAt: string | null;
}

/** Bytes of an answer without records. */
const emptyAnswer = 16;

const [role, port] = process.argv.slice(2);

if (role === 'serve') {
  // Answers any request: to Fetch with records, to others with an empty answer of Produce 3 (no topics).
  createServer({ noDelay: true }, (socket) => {
    socket.on('error', () => socket.destroy());
    eachFrame(socket, (frame) => {
      const records = frame.readInt16BE(4) === 1 ? 100_000 : 0;
      const answer = Buffer.alloc(emptyAnswer + records);
      answer.writeInt32BE(answer.length - 4, 0);
      frame.copy(answer, 4, 8, 12);
      socket.write(answer);
    });
  }).listen(Number(port), '0.0.0.0', () => process.send?.(null));
} else {
  process.on('message', (load: Load) => void run(load).then((measured) => process.send?.(measured)));
  process.send?.(null);
}
process.on('disconnect', () => process.exit(0));

function run(load: Load): Promise<Measured> {
  const frame = Buffer.from(load.frame, 'base64');
  return new Promise((resolve, reject) => {
    const socket = connect({ host: load.host, port: load.port, noDelay: true });
    let [sent, answered, sentAt] = [0, 0, 0n];
    const micros: number[] = [];
    let refusedAt: string | null = null;
    const started = process.hrtime.bigint();
    const ask = () => {
      frame.writeInt32BE(sent++, 8);
      sentAt = process.hrtime.bigint();
      socket.write(Buffer.from(frame));
    };
    socket.on('connect', () => {
      for (let index = 0; index < load.inFlight; index++) ask();
    });
    socket.on('error', reject);
    socket.on('close', () => reject(new Error('the connection ended')));
    eachFrame(socket, (answer) => {
      const now = process.hrtime.bigint();
      if (load.inFlight === 1) micros.push(Number(now - sentAt) / 1000);
      answered += 1;
      if (answer.length !== emptyAnswer && answer.length < 1_000) refusedAt ??= String(now);
      if (sent < load.requests) ask();
      if (answered < load.requests && !(load.untilRefused && refusedAt !== null)) return;
      socket.removeAllListeners('close').destroy();
      resolve({ seconds: Number(now - started) / 1e9, micros, refusedAt });
    });
  });
}

function eachFrame(socket: Socket, take: (frame: Buffer) => void): void {
  let pending: Buffer[] = [];
  let have = 0;
  socket.on('data', (data) => {
    pending.push(data);
    have += data.length;
    for (;;) {
      if (have < 4) return;
      if ((pending[0]?.length ?? 0) < 4) pending = [Buffer.concat(pending)];
      const size = 4 + (pending[0]?.readInt32BE(0) ?? 0);
      if (have < size) return;
      const all = pending.length === 1 ? (pending[0] ?? Buffer.alloc(0)) : Buffer.concat(pending);
      take(all.subarray(0, size));
      have -= size;
      pending = have === 0 ? [] : [all.subarray(size)];
    }
  });
}
