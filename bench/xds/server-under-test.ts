// xds-server as one of the servers of `make bench-xds`; the orders are those of bench/xds-go/control.go.
// usage: node server-under-test.ts SOCKET CONTROL
import { createServer } from 'node:net';
import { createInterface } from 'node:readline';
import { create } from '@bufbuild/protobuf';
import { createXdsServer, type Resource, resource } from '@weir/xds-server';
import { ClusterSchema } from '@weir/xds-ts/envoy/config/cluster/v3/cluster';

process.on('SIGINT', () => process.exit(0));
const [socket = '', control = ''] = process.argv.slice(2);
const server = createXdsServer();
let size = 0;

function cluster(index: number, revision: number): Resource {
  const name = `cluster-${index}`;
  const altStatName = `${revision} `.padEnd(size, 'x');
  return resource(ClusterSchema, name, create(ClusterSchema, { name, altStatName }));
}

function obey(line: string): string {
  const [word = '', ...rest] = line.split(' ');
  const [first = 0, second = 0] = rest.map(Number);
  switch (word) {
    case 'load':
      size = second;
      server.update({ set: Array.from({ length: first }, (_, index) => cluster(index, 0)) });
      return 'ok';
    case 'change':
      server.update({ set: [cluster(first, second)] });
      return 'ok';
    case 'refusals':
      return server
        .refusals()
        .map(({ ref }) => ref.name)
        .join();
    case 'stats': {
      // In a soak, where Node runs with --expose-gc, memory is what is still in use.
      globalThis.gc?.();
      const { user, system } = process.cpuUsage();
      const { rss: rssBytes, heapUsed, external } = process.memoryUsage();
      return JSON.stringify({ cpuMs: (user + system) / 1_000, rssBytes, usedBytes: heapUsed + external });
    }
    default:
      throw new Error(`unknown order ${word}`);
  }
}

await server.listen({ kind: 'unix', path: socket });
createServer((connection) => {
  createInterface({ input: connection }).on('line', (line) => connection.write(`${obey(line)}\n`));
}).listen(control, () => console.log('ready'));
