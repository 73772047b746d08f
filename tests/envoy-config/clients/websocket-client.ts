/** The `ws` library, and Node's own client; prints what came. `node websocket-client.ts HOST:PORT` */
import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import WebSocket from 'ws';

const target = `ws://${process.argv[2]}`;

async function library() {
  const socket = new WebSocket(`${target}/ws/library`, 'chat');
  await once(socket, 'open');
  const echo = async (data: string | Buffer): Promise<Buffer> => {
    const answered = once(socket, 'message');
    socket.send(data);
    return (await answered)[0];
  };
  const large = randomBytes(1_000_000);
  const text = String(await echo('over the proxy'));
  const same = (await echo(large)).equals(large);
  const pong = once(socket, 'pong');
  socket.ping('are you there');
  const ponged = String((await pong)[0]);
  const closed = once(socket, 'close');
  socket.send('bye');
  const [code, reason] = await closed;
  return {
    protocol: socket.protocol,
    deflate: socket.extensions,
    text,
    same,
    ponged,
    code,
    reason: String(reason),
  };
}

async function refused() {
  const socket = new WebSocket(`${target}/private`);
  const [, response] = await once(socket, 'unexpected-response');
  let body = '';
  for await (const chunk of response) body += chunk;
  return { status: response.statusCode, body };
}

async function builtIn() {
  const socket = new globalThis.WebSocket(`${target}/ws/built-in`);
  await once(socket, 'open');
  socket.send('hello');
  const [{ data }] = await once(socket, 'message');
  socket.close();
  await once(socket, 'close');
  return data;
}

console.log(JSON.stringify({ library: await library(), refused: await refused(), builtIn: await builtIn() }));
