// Opens connections that have each made one request, and holds them: `holder.ts HOST PORT CONNECTIONS`. Says `ready`,
// and ends with its standard input.
import { connect, type Socket } from 'node:net';
import { fetchRequest, frames, TOPICS } from './messages.ts';

const [host = '', port = '', connections = '1'] = process.argv.slice(2);

async function hold(): Promise<Socket> {
  const socket = connect({ host, port: Number(port), noDelay: true });
  await new Promise<void>((resolve, reject) => {
    socket.once('error', reject);
    frames(socket, () => resolve());
    socket.write(fetchRequest(TOPICS.small, 1));
  });
  return socket;
}

const sockets: Socket[] = [];
for (let i = 0; i < Number(connections); i++) sockets.push(await hold());
console.log('ready');
process.stdin.on('end', () => {
  for (const socket of sockets) socket.destroy();
});
process.stdin.resume();
