import { type ListenAddress, serveDirectory } from '@weir/xds-server';
import { Command } from 'commander';

/** `weir xds serve`: the control server by itself. */
export function xdsCommands(): Command {
  const several = (value: string, before: readonly string[] = []): readonly string[] => [...before, value];
  const serve = new Command('serve')
    .description(
      'serve the Envoy resources in the JSON and YAML files of a folder to any Envoy, and follow the files',
    )
    .requiredOption(
      '--dir <dir>',
      'canonical proto JSON with @type: one resource, or a `resources:` list, a file',
    )
    .requiredOption('--listen <address>', 'unix:PATH or tcp:HOST:PORT (repeatable)', several)
    .action(async ({ dir, listen }: { dir: string; listen: readonly string[] }) => {
      const print = (line: string): void => void process.stdout.write(`${line}\n`);
      const served = await serveDirectory({ dir, listen: listen.map(parseListen), print });
      for (const { address, port } of served.listening) print(`listening on ${showListen(address, port)}`);
      await new Promise<void>((resolve) => {
        for (const name of ['SIGTERM', 'SIGINT'] as const) process.once(name, () => resolve());
      });
      await served.close();
    });
  return new Command('xds').description('the xDS control server by itself').addCommand(serve);
}

function parseListen(text: string): ListenAddress {
  const [, path] = /^unix:(.+)$/.exec(text) ?? [];
  if (path !== undefined) return { kind: 'unix', path };
  const [, host, port] = /^tcp:(.+):(\d{1,5})$/.exec(text) ?? [];
  if (host === undefined || Number(port) > 65_535) {
    throw new Error(`--listen ${text}: expected unix:PATH or tcp:HOST:PORT`);
  }
  return { kind: 'tcp', host: host.replace(/^\[(.*)\]$/, '$1'), port: Number(port) };
}

function showListen(address: ListenAddress, port: number): string {
  return address.kind === 'unix' ? `unix:${address.path}` : `tcp:${address.host}:${port}`;
}
