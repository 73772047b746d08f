import { request } from 'node:http';

/** What the admin interface answered. */
export interface AdminAnswer {
  readonly status: number;
  readonly body: string;
}

/** Asks Envoy's admin interface on its unix socket. Rejects when nobody listens or answers in time. */
export function askAdmin(
  socketPath: string,
  path: string,
  method: 'GET' | 'POST' = 'GET',
  timeoutMs = 1_000,
): Promise<AdminAnswer> {
  return new Promise((resolve, reject) => {
    const asked = request({ socketPath, path, method, timeout: timeoutMs, agent: false }, (response) => {
      const chunks: Buffer[] = [];
      response.on('data', (chunk: Buffer) => chunks.push(chunk));
      response.on('end', () =>
        resolve({ status: response.statusCode ?? 0, body: Buffer.concat(chunks).toString() }),
      );
      response.on('error', reject);
    });
    asked.on('timeout', () => asked.destroy(new Error(`no answer to ${path} within ${timeoutMs} ms`)));
    asked.on('error', reject);
    asked.end();
  });
}
