/** Node's fetch and node:http with keep-alive pools; prints what came. `node fetch-client.ts URL` */
import { Agent, get } from 'node:http';

const base = process.argv[2] ?? '';

/** Statuses and bodies that came how often, and whether connections were used again (fetch opens up to 40 here). */
async function fetched(count: number): Promise<Record<string, number | boolean>> {
  const seen: Record<string, number> = {};
  const ports = new Set<string>();
  for (let done = 0; done < count; done += 20) {
    await Promise.all(
      Array.from({ length: 20 }, async (_, index) => {
        const path = index % 4 === 3 ? '/private' : `/public/${index}`;
        const response = await fetch(`${base}${path}`);
        const key = `${response.status} ${(await response.text()).trim()}`.replace(/\d+$/, 'N');
        seen[key] = (seen[key] ?? 0) + 1;
        const port = response.headers.get('x-client-port');
        if (port !== null) ports.add(port);
      }),
    );
  }
  return { ...seen, reused: ports.size < count / 3 };
}

/** All requests of one pool with one socket: allowed and refused ones share the connection. */
async function pooled(count: number): Promise<number> {
  const agent = new Agent({ keepAlive: true, maxSockets: 1 });
  const localPorts = new Set<number | undefined>();
  for (let index = 0; index < count; index += 1) {
    await new Promise<void>((done, failed) => {
      get(`${base}${index % 2 === 0 ? '/public/a' : '/private'}`, { agent }, (response) => {
        localPorts.add(response.socket.localPort);
        response.resume();
        response.on('end', done);
      }).on('error', failed);
    });
  }
  agent.destroy();
  return localPorts.size;
}

/** A body of unknown length, sent while it is made. */
async function streamed(chunks: number): Promise<string> {
  let left = chunks;
  const body = new ReadableStream({
    pull(controller) {
      left -= 1;
      if (left < 0) controller.close();
      else controller.enqueue(new Uint8Array(10_000));
    },
  });
  const response = await fetch(`${base}/upload`, { method: 'POST', body, duplex: 'half' });
  return (await response.text()).split(' ')[0] ?? '';
}

console.log(
  JSON.stringify({ fetched: await fetched(200), pooled: await pooled(50), streamed: await streamed(100) }),
);
