/** Runs in a namespace as a child of the test: opens connections and servers there, at the test's word. */
import { createServer as createHttpServer } from 'node:http';
import * as http2 from 'node:http2';
import { connect, createServer, type Socket } from 'node:net';
import type { PeerAnswer, PeerOrder, Reply } from './peer-protocol.ts';

interface Connection {
  readonly socket: Socket;
  received: Buffer;
  ended: boolean;
  /** Told whenever something has come. */
  changed: () => void;
}

const connections = new Map<number, Connection>();
const recorded: string[] = [];
let next = 1;

process.on('message', (order: PeerOrder) => {
  perform(order).then(
    (answer) => reply({ id: order.id, kind: 'done', ...answer }),
    (error: Error) => reply({ id: order.id, kind: 'failed', message: error.message }),
  );
});
process.on('disconnect', () => process.exit(0));

function reply(answer: PeerAnswer): void {
  process.send?.(answer);
}

async function perform(order: PeerOrder): Promise<{ readonly value: unknown }> {
  switch (order.kind) {
    case 'open':
      return { value: await open(order.host, order.port) };
    case 'send':
      return { value: await send(order.connection, order.text, order.end) };
    case 'receive':
      return { value: await receive(order.connection, order.until, order.deadlineMs) };
    case 'close':
      connections.get(order.connection)?.socket.destroy();
      connections.delete(order.connection);
      return { value: null };
    case 'call':
      return { value: await call(order.host, order.port, order.headers, order.body) };
    case 'exchange':
      return { value: await exchange(order.host, order.port, order.requests) };
    case 'serve-echo':
      return { value: await serveEcho(order.port) };
    case 'serve-script':
      return { value: await serveScript(order.port) };
    case 'recorded':
      return { value: recorded.splice(0) };
  }
}

function open(host: string, port: number): Promise<number> {
  return new Promise((resolve, reject) => {
    const id = next++;
    const socket = connect({ host, port, allowHalfOpen: true });
    const connection: Connection = {
      socket,
      received: Buffer.alloc(0),
      ended: false,
      changed: () => undefined,
    };
    connections.set(id, connection);
    socket.on('data', (data) => {
      connection.received = Buffer.concat([connection.received, data]);
      connection.changed();
    });
    socket.on('end', () => {
      connection.ended = true;
      connection.changed();
    });
    socket.on('error', (error) => {
      connection.ended = true;
      connection.changed();
      reject(error);
    });
    socket.on('connect', () => resolve(id));
  });
}

function held(id: number): Connection {
  const connection = connections.get(id);
  if (connection === undefined) throw new Error(`no connection ${id}`);
  return connection;
}

function send(id: number, text: string, end: boolean): Promise<null> {
  const { socket } = held(id);
  const data = Buffer.from(text, 'latin1');
  return new Promise((resolve) => {
    if (end) socket.end(data, () => resolve(null));
    else socket.write(data, () => resolve(null));
  });
}

/** Waits until the text received so far matches, or the other end has closed, and takes it. */
function receive(id: number, until: string, deadlineMs: number): Promise<{ text: string; ended: boolean }> {
  const connection = held(id);
  const pattern = new RegExp(until, 's');
  return new Promise((resolve, reject) => {
    const text = () => connection.received.toString('latin1');
    const timer = setTimeout(
      () => reject(new Error(`not ${until} within ${deadlineMs} ms, but: ${text()}`)),
      deadlineMs,
    );
    connection.changed = () => {
      const taken = text();
      if (!connection.ended && !pattern.test(taken)) return;
      clearTimeout(timer);
      connection.changed = () => undefined;
      connection.received = Buffer.alloc(0);
      resolve({ text: taken, ended: connection.ended });
    };
    connection.changed();
  });
}

/** One HTTP/2 request with prior knowledge. */
function call(
  host: string,
  port: number,
  headers: Record<string, string>,
  body: string | null,
): Promise<{ headers: Record<string, unknown>; trailers: Record<string, unknown>; body: string }> {
  return new Promise((resolve, reject) => {
    const session = http2.connect(`http://${host}:${port}`);
    session.on('error', reject);
    const stream = session.request(headers, { endStream: body === null });
    let response: Record<string, unknown> = {};
    let trailers: Record<string, unknown> = {};
    const chunks: Buffer[] = [];
    stream.on('response', (received) => {
      response = { ...received };
    });
    stream.on('trailers', (received) => {
      trailers = { ...received };
    });
    stream.on('data', (chunk: Buffer) => chunks.push(chunk));
    stream.on('error', reject);
    stream.on('end', () => {
      session.close();
      resolve({ headers: response, trailers, body: Buffer.concat(chunks).toString('latin1') });
    });
    if (body !== null) stream.end(body);
  });
}

/** The refusal of what says that it is a gRPC call. */
const refusedCall = '\\r\\ngrpc-status: 7\\r\\n.*\\r\\n\\r\\n$';

/**
 * Sends requests one after the other on one connection and returns the status of each, 403 also for gRPC's, with
 * what the echo says of it.
 */
async function exchange(host: string, port: number, requests: readonly string[]): Promise<readonly Reply[]> {
  let id = await open(host, port);
  const found: Reply[] = [];
  for (const request of requests) {
    await send(id, request, false);
    const complete = request.startsWith('HEAD ')
      ? '\\r\\n\\r\\n$'
      : `${refusedCall}|\\r\\n\\r\\n.*(?:denied\\r\\n|end)$`;
    const { text, ended } = await receive(id, complete, 5_000);
    const status = Number(/^HTTP\/1\.[01] (\d+)/.exec(text)?.[1] ?? 0);
    const refused = new RegExp(refusedCall, 's').test(text);
    found.push({ status: refused ? 403 : status, body: text.slice(text.indexOf('\r\n\r\n') + 4) });
    if (ended) id = await open(host, port);
  }
  held(id).socket.destroy();
  return found;
}

/** Answers each request of HTTP/1 or h2c with what it received, as JSON and the word `end`. */
async function serveEcho(port: number): Promise<null> {
  const one = createHttpServer((request, response) => {
    recorded.push(`${request.method} ${request.url}`);
    const chunks: Buffer[] = [];
    request.on('data', (chunk: Buffer) => chunks.push(chunk));
    request.on('end', () => {
      const status = Number(request.headers['x-answer-status'] ?? 200);
      const { method, url, httpVersion, rawHeaders, rawTrailers } = request;
      const from = request.socket.remoteAddress;
      const body = Buffer.concat(chunks).toString('latin1');
      const text = `${JSON.stringify({ method, url, httpVersion, rawHeaders, rawTrailers, from, body })}end`;
      response.writeHead(status, { 'Content-Length': Buffer.byteLength(text) });
      response.end(request.method === 'HEAD' ? undefined : text);
    });
  });
  one.on('upgrade', (request, socket) => {
    recorded.push(`${request.method} ${request.url}`);
    socket.write('HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n');
    socket.on('data', (data) => socket.write(data));
    socket.on('error', () => socket.destroy());
    socket.on('end', () => socket.end());
  });
  const two = http2.createServer();
  two.on('stream', (stream, headers) => {
    recorded.push(`${headers[':method']} ${headers[':path']}`);
    const chunks: Buffer[] = [];
    stream.on('data', (chunk: Buffer) => chunks.push(chunk));
    stream.on('end', () => {
      const grpc = String(headers['content-type'] ?? '').startsWith('application/grpc');
      stream.respond(
        { ':status': 200, ...(grpc && { 'content-type': 'application/grpc' }) },
        { waitForTrailers: grpc },
      );
      stream.on('wantTrailers', () => stream.sendTrailers({ 'grpc-status': '0' }));
      const body = Buffer.concat(chunks).toString('latin1');
      stream.end(grpc ? '' : `${JSON.stringify({ headers, body })}end`);
    });
    stream.on('error', () => stream.destroy());
  });
  await listen(port, (socket) => {
    socket.once('data', (first) => {
      socket.pause();
      socket.unshift(first);
      if (first.toString('latin1').startsWith('PRI * HTTP/2')) {
        two.emit('connection', socket);
      } else {
        one.emit('connection', socket);
        socket.resume();
      }
    });
  });
  return null;
}

/**
 * Records what a connection sends, as it came, and answers each complete request with the bytes that its
 * X-Answer header holds in base64. A body is complete by its length or its last chunk. `X-Answer-When: NAME REST` keeps
 * REST back until a request says `X-Release: NAME`.
 */
async function serveScript(port: number): Promise<null> {
  const held = new Map<string, () => void>();
  await listen(port, (socket) => {
    let received = '';
    socket.on('data', (data) => {
      received += data.toString('latin1');
      for (let end = requestEnd(received); end > 0; end = requestEnd(received)) {
        const request = received.slice(0, end);
        received = received.slice(end);
        recorded.push(request);
        const answer = /^X-Answer: (\S*)\r$/im.exec(request)?.[1] ?? '';
        const closing = /^X-Answer-Close: 1\r$/im.test(request);
        const bytes = Buffer.from(answer, 'base64');
        const [, name = '', rest = ''] = /^X-Answer-When: (\S+) (\S+)\r$/im.exec(request) ?? [];
        if (name !== '') held.set(name, () => socket.write(Buffer.from(rest, 'base64')));
        const released = /^X-Release: (\S+)\r$/im.exec(request)?.[1] ?? '';
        held.get(released)?.();
        if (closing) socket.end(bytes);
        else socket.write(bytes);
      }
    });
    socket.on('end', () => socket.end());
  });
  return null;
}

/** Where the first request ends, or 0 while it is not whole. */
function requestEnd(text: string): number {
  const head = text.indexOf('\r\n\r\n');
  if (head < 0) return 0;
  const start = head + 4;
  if (/^transfer-encoding: chunked\r$/im.test(text.slice(0, start))) {
    const last = /(?:^|\r\n)0\r\n(?:[^\r]+\r\n)*\r\n/.exec(text.slice(start));
    return last === null ? 0 : start + last.index + last[0].length;
  }
  const length = Number(/^content-length: (\d+)\r$/im.exec(text.slice(0, start))?.[1] ?? 0);
  return text.length >= start + length ? start + length : 0;
}

function listen(port: number, onConnection: (socket: Socket) => void): Promise<void> {
  return new Promise((resolve, reject) => {
    const server = createServer((socket) => {
      socket.on('error', () => socket.destroy());
      onConnection(socket);
    });
    server.on('error', reject);
    server.listen(port, '0.0.0.0', () => resolve());
  });
}

process.send?.({ id: 0, kind: 'done', value: null } satisfies PeerAnswer);
