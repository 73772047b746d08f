import { readFile } from 'node:fs/promises';
import { type ListenAddress, serveDirectory, type TlsOptions } from '@weir/xds-server';
import { Command } from 'commander';

interface ServeOptions {
  readonly dir: string;
  readonly listen: readonly string[];
  readonly tlsCert?: string;
  readonly tlsKey?: string;
  readonly tlsClientCa?: string;
}

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
    .option('--tls-cert <file>', 'certificate chain (PEM): the tcp addresses speak TLS')
    .option('--tls-key <file>', 'its private key (PEM)')
    .option('--tls-client-ca <file>', 'only clients with a certificate that this authority signed (PEM)')
    .action(async (options: ServeOptions) => {
      const print = (line: string): void => void process.stdout.write(`${line}\n`);
      const addresses = options.listen.map(parseListen);
      const tls = await readTls(options);
      if (tls !== null && !addresses.some(({ kind }) => kind === 'tcp'))
        throw new Error('--tls-cert is for tcp:HOST:PORT, and no --listen names one');
      const listen = addresses.map((address) =>
        tls === null || address.kind === 'unix' ? address : { ...address, tls },
      );
      const served = await serveDirectory({ dir: options.dir, listen, print });
      for (const { address, port } of served.listening) print(`listening on ${showListen(address, port)}`);
      await new Promise<void>((resolve) => {
        for (const name of ['SIGTERM', 'SIGINT'] as const) process.once(name, () => resolve());
      });
      await served.close();
    });
  return new Command('xds').description('the xDS control server by itself').addCommand(serve);
}

async function readTls({ tlsCert, tlsKey, tlsClientCa }: ServeOptions): Promise<TlsOptions | null> {
  if (tlsCert === undefined && tlsKey === undefined && tlsClientCa === undefined) return null;
  if (tlsCert === undefined || tlsKey === undefined)
    throw new Error('TLS needs both --tls-cert and --tls-key');
  const [certificate, key] = [await readPem('--tls-cert', tlsCert), await readPem('--tls-key', tlsKey)];
  if (tlsClientCa === undefined) return { certificate, key };
  return { certificate, key, clientCa: await readPem('--tls-client-ca', tlsClientCa) };
}

async function readPem(option: string, file: string): Promise<Uint8Array> {
  try {
    return await readFile(file);
  } catch (error) {
    throw new Error(`${option} ${file}: ${error instanceof Error ? error.message : String(error)}`, {
      cause: error,
    });
  }
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
  if (address.kind === 'unix') return `unix:${address.path}`;
  const { tls } = address;
  const kind = tls === undefined ? '' : tls.clientCa === undefined ? ' (TLS)' : ' (mutual TLS)';
  return `tcp:${address.host}:${port}${kind}`;
}
