import { chmodSync, rmSync } from 'node:fs';
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import { connect } from 'node:net';
import type { Flow } from '../flows/flow.ts';

/** What a handler answers: a JSON body, a text for Prometheus, or a stream of JSON bodies, one a line. */
export type Answer =
  | { readonly kind: 'json'; readonly status: number; readonly body: unknown }
  | { readonly kind: 'text'; readonly text: string }
  | { readonly kind: 'flows'; readonly recent: readonly Flow[]; readonly follow: Follow | null };

/** Starts to follow; the returned function ends it. */
export type Follow = (listener: (flow: Flow) => void) => () => void;

/** One request to the API. */
export interface ApiRequest {
  readonly method: string;
  /** Without the query. */
  readonly path: string;
  readonly query: URLSearchParams;
  /** The decoded JSON body; undefined when there was none. */
  readonly body: unknown;
}

/** Handles a request; what it throws is answered as a refusal (400) with the error's text. */
export type Handler = (request: ApiRequest) => Promise<Answer>;

export interface ControlServer {
  /** Ends all streams and removes the socket. */
  close(): Promise<void>;
}

const MAX_BODY_BYTES = 1024 * 1024;
/** A follower that has this much unread is cut: it must not make the agent's memory grow. */
const MAX_UNREAD_BYTES = 8 * 1024 * 1024;

/**
 * Serves the API over HTTP on a unix socket that only its owner may use. Throws when another agent
 * serves there; a socket that nobody serves is taken over.
 */
export async function serveControl(socketPath: string, handle: Handler): Promise<ControlServer> {
  await refuseSecondAgent(socketPath);
  rmSync(socketPath, { force: true });
  const server = createServer((request, response) => {
    void answer(request, response).catch((error) => fail(response, 500, error));
  });

  async function answer(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const url = new URL(request.url ?? '/', 'http://weir');
    let given: Answer;
    try {
      const body = await readBody(request);
      given = await handle({
        method: request.method ?? 'GET',
        path: url.pathname,
        query: url.searchParams,
        body,
      });
    } catch (error) {
      return fail(response, 400, error);
    }
    if (given.kind === 'json') return sendJson(response, given.status, given.body);
    if (given.kind === 'text') return sendText(response, given.text);
    sendFlows(response, given);
  }

  await new Promise<void>((resolve, reject) => {
    server.once('error', reject);
    server.listen(socketPath, resolve);
  });
  chmodSync(socketPath, 0o600);
  return {
    async close() {
      const closed = new Promise<void>((resolve) => server.close(() => resolve()));
      server.closeAllConnections();
      await closed;
    },
  };
}

/** Throws when an agent serves this socket. */
export async function refuseSecondAgent(socketPath: string): Promise<void> {
  if (await someoneListens(socketPath)) {
    throw new Error(`another agent of this instance is running: it answers on ${socketPath}`);
  }
}

function sendFlows(response: ServerResponse, answer: Extract<Answer, { kind: 'flows' }>): void {
  response.writeHead(200, { 'content-type': 'application/x-ndjson' });
  response.flushHeaders();
  const send = (flow: Flow): void => {
    if (response.writableLength > MAX_UNREAD_BYTES) response.destroy();
    else response.write(`${JSON.stringify(flow)}\n`);
  };
  answer.recent.forEach(send);
  if (answer.follow === null) {
    response.end();
    return;
  }
  response.on('close', answer.follow(send));
}

function sendJson(response: ServerResponse, status: number, body: unknown): void {
  response.writeHead(status, { 'content-type': 'application/json' });
  response.end(`${JSON.stringify(body)}\n`);
}

function sendText(response: ServerResponse, text: string): void {
  response.writeHead(200, { 'content-type': 'text/plain; version=0.0.4' });
  response.end(text);
}

function fail(response: ServerResponse, status: number, error: unknown): void {
  if (response.headersSent) response.destroy();
  else sendJson(response, status, { error: error instanceof Error ? error.message : String(error) });
}

async function readBody(request: IncomingMessage): Promise<unknown> {
  const parts: Buffer[] = [];
  let bytes = 0;
  for await (const part of request) {
    bytes += part.length;
    if (bytes > MAX_BODY_BYTES) throw new Error(`the body is larger than ${MAX_BODY_BYTES} bytes`);
    parts.push(part);
  }
  const text = Buffer.concat(parts).toString('utf8');
  return text === '' ? undefined : JSON.parse(text);
}

function someoneListens(socketPath: string): Promise<boolean> {
  return new Promise((resolve) => {
    const probe = connect(socketPath);
    probe.once('connect', () => {
      probe.destroy();
      resolve(true);
    });
    probe.once('error', () => resolve(false));
  });
}
