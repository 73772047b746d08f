// Asks without a pause on one connection, and says when the answer changes: `prober.ts HOST PORT`. A line is
// `allowed` or `refused` and the time, in milliseconds since 1970. Ends with its standard input.
import { connect } from 'node:net';
import { batchOf, errorOf, frames, produceRequest, TOPICS } from './messages.ts';

const [host = '', port = ''] = process.argv.slice(2);
const reader = connect({ host, port: Number(port) });
const request = produceRequest(TOPICS.small, await batchOf(reader, TOPICS.small));
reader.destroy();
const socket = connect({ host, port: Number(port), noDelay: true });
let last = '';
frames(socket, (frame) => {
  const now = errorOf(frame, 'produce') === 0 ? 'allowed' : 'refused';
  if (now !== last) console.log(`${now} ${performance.timeOrigin + performance.now()}`);
  last = now;
  socket.write(request);
});
socket.write(request);
// Its end is the end of the answers.
socket.on('close', () => process.exit());
process.stdin.on('end', () => socket.destroy());
process.stdin.resume();
