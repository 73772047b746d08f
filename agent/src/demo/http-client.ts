// A workload of the demo: reads requests from standard input, one JSON object a line, and answers each
// with a line: {id, connect?: ms, status?, body?, connection?, error?}. Requests with the same `connection` name share
// one keep-alive connection; the others open one of their own.
import { Agent, request as httpRequest } from 'node:http';
import { createInterface } from 'node:readline';

interface Command {
  readonly id: number;
  readonly address: string;
  readonly port: number;
  readonly method: string;
  readonly path: string;
  readonly headers?: Readonly<Record<string, string>>;
  readonly connection?: string;
  readonly timeoutMs: number;
}

const agents = new Map<string, Agent>();

for await (const line of createInterface({ input: process.stdin })) {
  const command: Command = JSON.parse(line);
  void send(command).then((answer) =>
    process.stdout.write(`${JSON.stringify({ id: command.id, ...answer })}\n`),
  );
}
process.exit(0);

function send(command: Command): Promise<object> {
  return new Promise((resolve) => {
    const { address: host, port, method, path, headers = {}, timeoutMs } = command;
    const request = httpRequest(
      { host, port, method, path, headers, agent: agentOf(command.connection) },
      (response) => {
        let body = '';
        response.setEncoding('utf8');
        response.on('data', (part) => {
          body += part;
        });
        response.on('error', (error) => done({ error: codeOf(error) }));
        response.on('end', () => done({ status: response.statusCode, body, localPort }));
      },
    );
    let localPort: number | undefined;
    request.on('socket', (socket) => {
      localPort = socket.localPort;
      if (socket.connecting) {
        socket.once('connect', () => {
          localPort = socket.localPort;
        });
      }
    });
    const timer = setTimeout(
      () => request.destroy(Object.assign(new Error('no answer'), { code: 'TIMEOUT' })),
      timeoutMs,
    );
    request.on('error', (error) => done({ error: codeOf(error) }));
    request.end();
    function done(answer: object): void {
      clearTimeout(timer);
      resolve(answer);
    }
  });
}

function agentOf(connection: string | undefined): Agent | false {
  if (connection === undefined) return false;
  const agent = agents.get(connection) ?? new Agent({ keepAlive: true, maxSockets: 1 });
  agents.set(connection, agent);
  return agent;
}

function codeOf(error: Error): string {
  return 'code' in error ? String(error.code) : error.message;
}
