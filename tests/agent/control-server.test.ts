import assert from 'node:assert/strict';
import { existsSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, it } from 'node:test';
import {
  type ControlClient,
  controlClient,
  createFlowLog,
  type Flow,
  type Handler,
  serveControl,
} from '@weir/agent';
import { temporaryFolder } from '../run-name.ts';

describe('control API', () => {
  let directory = '';
  let socketPath = '';
  let client: ControlClient;
  const closers: (() => Promise<void>)[] = [];

  beforeEach(() => {
    directory = temporaryFolder('api');
    socketPath = join(directory, 'control.sock');
    client = controlClient(socketPath);
  });
  afterEach(async () => {
    for (const close of closers.splice(0)) await close();
    rmSync(directory, { recursive: true });
  });

  async function serve(handler: Handler): Promise<void> {
    closers.push((await serveControl(socketPath, handler)).close);
  }

  it('answers, and only its owner may ask', async () => {
    await serve(async ({ method, path, query, body }) => ({
      kind: 'json',
      status: 200,
      body: { method, path, last: query.get('last'), body },
    }));
    const answer = await client.call('PUT', '/v1/x?last=3', { a: 1 });
    assert.deepEqual(answer, { method: 'PUT', path: '/v1/x', last: '3', body: { a: 1 } });
    assert.equal(statSync(socketPath).mode & 0o777, 0o600);
  });

  it('answers a text as it is', async () => {
    await serve(async () => ({ kind: 'text', text: 'a 1\nb 2\n' }));
    assert.equal(await client.read('/v1/metrics'), 'a 1\nb 2\n');
  });

  it('gives what a handler throws as the reason', async () => {
    await serve(async () => {
      throw new Error('no such workload');
    });
    await assert.rejects(client.call('GET', '/v1/x'), /^ControlError: no such workload$/);
  });

  it('gives the reason for a stream that it refuses', async () => {
    await serve(async () => {
      throw new Error('no such number');
    });
    const stream = client.stream('/v1/flows?last=x', new AbortController().signal);
    await assert.rejects(stream[Symbol.asyncIterator]().next(), /^ControlError: no such number$/);
  });

  it('refuses a body that is too large or no JSON, and goes on', async () => {
    await serve(async () => ({ kind: 'json', status: 200, body: {} }));
    await assert.rejects(client.call('PUT', '/', 'x'.repeat(2 * 1024 * 1024)), /ControlError/);
    assert.deepEqual(await client.call('GET', '/'), {});
  });

  it('refuses to start beside an agent that serves, and takes over a socket that nobody serves', async () => {
    await serve(async () => ({ kind: 'json', status: 200, body: {} }));
    await assert.rejects(
      serveControl(socketPath, async () => ({ kind: 'json', status: 200, body: {} })),
      /another agent of this instance is running/,
    );
    for (const close of closers.splice(0)) await close();
    writeFileSync(socketPath, '');
    await serve(async () => ({ kind: 'json', status: 200, body: {} }));
    assert.deepEqual(await client.call('GET', '/'), {});
  });

  it('says where it looked when no agent answers', async () => {
    await assert.rejects(client.call('GET', '/'), new RegExp(`no agent answers on ${socketPath}`));
  });

  it('streams flows as they come, and stops following when the reader leaves', async () => {
    const log = createFlowLog(2);
    let followers = 0;
    await serve(async () => ({
      kind: 'flows',
      recent: log.last(10),
      follow: (listener) => {
        followers += 1;
        const end = log.follow(listener);
        return () => {
          followers -= 1;
          end();
        };
      },
    }));
    for (const reason of ['one', 'two', 'three']) log.add(flow(reason));
    const stop = new AbortController();
    const seen: string[] = [];
    for await (const item of client.stream('/v1/flows', stop.signal)) {
      seen.push(`${(item as Flow).sequence} ${(item as Flow).reason}`);
      if (seen.length === 2) log.add(flow('four'));
      if (seen.length === 3) break;
    }
    assert.deepEqual(seen, ['2 two', '3 three', '4 four']);
    while (followers > 0) await new Promise((next) => setImmediate(next));
  });

  it('removes its socket when it closes', async () => {
    await serve(async () => ({ kind: 'json', status: 200, body: {} }));
    for (const close of closers.splice(0)) await close();
    assert.equal(existsSync(socketPath), false);
  });
});

function flow(reason: string): Omit<Flow, 'sequence'> {
  const peer = { address: '10.0.0.1', port: 1, identity: 2, endpoint: null, labels: [] };
  return {
    time: '2026-01-01T00:00:00.000Z',
    kind: 'connection',
    verdict: 'denied',
    reason,
    protocol: 'TCP',
    source: peer,
    destination: peer,
    request: null,
    kafka: null,
    rules: [],
    untold: 0,
  };
}
