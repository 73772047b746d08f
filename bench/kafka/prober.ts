// Asks without a pause on one connection, and says when the answer changes: `prober.ts HOST PORT`. A line is
// `allowed` or `refused` and the time, in milliseconds since 1970. Ends with its standard input.
import { connect } from 'node:net';
import { errorOf, fetchRequest, frames, TOPICS } from './messages.ts';

const [host = '', port = ''] = process.argv.slice(2);
const socket = connect({ host, port: Number(port), noDelay: true });
const request = fetchRequest(TOPICS.small, 1);
let last = '';
frames(socket, (frame) => {
  const now = errorOf(frame, 'fetch') === 0 ? 'allowed' : 'refused';
  if (now !== last) console.log(`${now} ${performance.timeOrigin + performance.now()}`);
  last = now;
  socket.write(request);
});
socket.write(request);
process.stdin.on('end', () => socket.destroy());
process.stdin.resume();
