import { request as httpRequest } from 'node:http';
import { createInterface } from 'node:readline';

/** The agent could not be reached, or refused. The message is for the user. */
export class ControlError extends Error {
  override readonly name = 'ControlError';
  /** No agent answered. */
  readonly unreachable: boolean;
  constructor(message: string, unreachable = false) {
    super(message);
    this.unreachable = unreachable;
  }
}

/** Talks to the agent behind a control socket. */
export interface ControlClient {
  /** The JSON answer. Throws ControlError. */
  call(method: string, path: string, body?: unknown): Promise<unknown>;
  /** The text that answers a GET. Throws ControlError. */
  read(path: string): Promise<string>;
  /** The lines of a streamed answer, each decoded. Ends when the agent ends it. */
  stream(path: string, signal: AbortSignal): AsyncIterable<unknown>;
}

/** A client of the agent that serves `socketPath`. */
export function controlClient(socketPath: string): ControlClient {
  function unreachable(error: unknown): ControlError {
    return new ControlError(
      `no agent answers on ${socketPath} (${String(error)}): is it running, and is this its --instance?`,
      true,
    );
  }

  function ask(method: string, path: string, body?: unknown): Promise<string> {
    return new Promise((resolve, reject) => {
      const request = httpRequest({ socketPath, method, path, agent: false }, (response) => {
        let text = '';
        response.setEncoding('utf8');
        response.on('data', (part) => {
          text += part;
        });
        response.on('error', (error) => reject(unreachable(error)));
        response.on('end', () => {
          if (response.statusCode === 200) resolve(text);
          else reject(refusal(response.statusCode, text));
        });
      });
      request.on('error', (error) => reject(unreachable(error)));
      request.end(body === undefined ? undefined : JSON.stringify(body));
    });
  }

  return {
    call: async (method, path, body): Promise<unknown> => JSON.parse(await ask(method, path, body)),
    read: (path) => ask('GET', path),

    async *stream(path, signal) {
      const response = await new Promise<import('node:http').IncomingMessage>((resolve, reject) => {
        const request = httpRequest({ socketPath, path, agent: false, signal }, resolve);
        request.on('error', (error) => reject(unreachable(error)));
        request.end();
      });
      try {
        for await (const line of createInterface({ input: response })) {
          if (response.statusCode !== 200) throw refusal(response.statusCode, line);
          yield JSON.parse(line);
        }
      } catch (error) {
        if (error instanceof ControlError) throw error;
        if (!signal.aborted) throw unreachable(error);
      } finally {
        response.destroy();
      }
    },
  };
}

function refusal(status: number | undefined, text: string): ControlError {
  const answer: unknown = JSON.parse(text);
  const told = typeof answer === 'object' && answer !== null && 'error' in answer;
  return new ControlError(told ? String(answer.error) : `the agent answered with status ${status}`);
}
