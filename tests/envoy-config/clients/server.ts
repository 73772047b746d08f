/** What the clients of these tests talk to. `node server.ts`: HTTP/1.1 and WebSocket on port 80, h2c on 81. */
import { createHash } from 'node:crypto';
import { once } from 'node:events';
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import { createServer as createServer2, type Http2ServerRequest, type Http2ServerResponse } from 'node:http2';
import { WebSocketServer } from 'ws';

const large = Buffer.alloc(20_000_000, 'weir');

/** Answers uploads with their length and digest, everything else with a text and the client's port. */
async function answer(
  request: IncomingMessage | Http2ServerRequest,
  response: ServerResponse | Http2ServerResponse,
): Promise<void> {
  const hash = createHash('sha256');
  let bytes = 0;
  for await (const chunk of request) {
    hash.update(chunk);
    bytes += chunk.length;
  }
  response.setHeader('x-client-port', String(request.socket.remotePort));
  response.setHeader('content-type', 'text/plain');
  if (request.url === '/public/large') {
    response.end(large);
    return;
  }
  const sent = bytes === 0 ? `hello ${request.url}\n` : `${bytes} ${hash.digest('hex')}\n`;
  response.end(request.method === 'HEAD' ? '' : sent);
}

const one = createServer((request, response) => void answer(request, response));
const two = createServer2((request, response) => void answer(request, response));
const sockets = new WebSocketServer({
  server: one,
  perMessageDeflate: true,
  handleProtocols: (offered) => (offered.has('chat') ? 'chat' : false),
});
sockets.on('connection', (socket) => {
  socket.on('message', (data, binary) => {
    if (data.toString() === 'bye') socket.close(4001, 'as asked');
    else socket.send(data, { binary });
  });
});

one.listen(80);
two.listen(81);
await Promise.all([once(one, 'listening'), once(two, 'listening')]);
console.log('listening');
