// A workload of the demo: an HTTP server on the ports given. Each answer tells what arrived and from
// where, so that the client can check that its address was kept. Prints a line when all ports are open.
// Arguments: `stay` or `leave` (when whoever started it is gone), then the ports.
import { once } from 'node:events';
import { createServer } from 'node:http';

const [stays, ...words] = process.argv.slice(2);
const ports = words.map(Number);
for (const port of ports) {
  const server = createServer((request, response) => {
    request.resume();
    request.on('end', () => {
      const { method, url, headers, socket } = request;
      response.setHeader('content-type', 'application/json');
      response.end(
        JSON.stringify({
          client: socket.remoteAddress?.replace(/^::ffff:/, ''),
          clientPort: socket.remotePort,
          method,
          path: url,
          headers,
        }),
      );
    });
  });
  server.keepAliveTimeout = 0;
  // Both families, where there are both.
  server.listen(port);
  await once(server, 'listening');
}
if (stays === 'leave') process.stdin.resume().on('end', () => process.exit(0));
process.stdout.write('ready\n');
