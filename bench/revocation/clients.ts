// Opens connections to an address and keeps some of them busy. Reads commands from standard input, a word a line:
// `report` prints a line of JSON, what is known of each connection. Times are microseconds of CLOCK_MONOTONIC, which all
// processes of a machine share. Arguments: the address, then PORT:BUSY:IDLE for each kind of connection.
import { once } from 'node:events';
import { connect, type Socket } from 'node:net';
import { createInterface } from 'node:readline';

/** What is known of one connection. */
export interface ConnectionReport {
  readonly port: number;
  readonly busy: boolean;
  /** When the last byte came. */
  readonly lastByteUs: number;
  /** When it ended; null while it lives. */
  readonly endedUs: number | null;
}

const PAUSE_MS = 50;
const REQUEST = 'GET / HTTP/1.1\r\nhost: deathstar\r\n\r\n';
const nowUs = (): number => Number(process.hrtime.bigint() / 1000n);

const [address = '', ...kinds] = process.argv.slice(2);
const reports: { -readonly [Field in keyof ConnectionReport]: ConnectionReport[Field] }[] = [];
const sockets: Socket[] = [];
for (const [port = 0, busy = 0, idle = 0] of kinds.map((kind) => kind.split(':').map(Number))) {
  for (let number = 0; number < busy + idle; number += 1) await open(port, number < busy);
}
process.stdout.write('open\n');
for await (const line of createInterface({ input: process.stdin })) {
  // Whoever was idle tries once more: nothing may come back.
  if (line === 'try') {
    for (const [index, socket] of sockets.entries())
      if (reports[index]?.busy === false) socket.write(REQUEST);
  }
  if (line === 'report') process.stdout.write(`${JSON.stringify(reports)}\n`);
}
process.exit(0);

/** Each connection is served once, so that it is known on the whole way. */
async function open(port: number, busy: boolean): Promise<void> {
  const socket = connect(port, address).setNoDelay();
  const report = { port, busy, lastByteUs: 0, endedUs: null as number | null };
  sockets.push(socket);
  reports.push(report);
  // At the first word of it: Node tells `close` only after everything else that has happened to any socket.
  for (const word of ['error', 'end', 'close'])
    socket.on(word, () => {
      report.endedUs ??= nowUs();
    });
  socket.write(REQUEST);
  await once(socket, 'data');
  report.lastByteUs = nowUs();
  socket.on('data', () => {
    report.lastByteUs = nowUs();
  });
  // An answer is one segment, or two: what matters is that bytes go to and fro without end.
  if (busy) setInterval(() => socket.write(REQUEST), PAUSE_MS).unref();
}
