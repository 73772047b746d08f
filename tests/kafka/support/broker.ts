import { spawn, spawnSync } from 'node:child_process';
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { until } from '../../envoy-config/support/envoy-under-test.ts';
import { namespacePath } from '../../envoy-config/support/network.ts';

const cache = resolve(import.meta.dirname, '../../../build/kafka');

/** Releases that the tests run. */
export const brokerVersions = { newest: '4.3.0', oldest: '3.9.1' } as const;

/** A broker with its own controller (KRaft) in a namespace. */
export interface Broker {
  readonly address: string;
  readonly port: number;
  /** All jars of the release, for Java clients: `java -cp`. */
  readonly classPath: string;
  log(): string;
  stop(): Promise<void>;
}

export interface BrokerOptions {
  readonly namespace: string;
  /** An address of the namespace that clients use; connections to it must be redirected. */
  readonly address: string;
  readonly port?: number;
  readonly version?: string;
  /** More lines of server.properties. */
  readonly properties?: Readonly<Record<string, string>>;
}

/** The jars of a release, which `make setup` brought. */
export function kafkaJars(version: string): string {
  const folder = join(cache, version);
  if (!existsSync(folder)) throw new Error(`no Kafka ${version} in ${folder}: run make setup`);
  return `${folder}/*`;
}

/** Starts a broker and waits until it answers. */
export async function startBroker(options: BrokerOptions): Promise<Broker> {
  const { namespace, address, port = 9092, version = brokerVersions.newest } = options;
  const classPath = kafkaJars(version);
  const directory = mkdtempSync(join(tmpdir(), 'weir-broker-'));
  const at = (name: string) => join(directory, name);
  const properties: Readonly<Record<string, string>> = {
    'process.roles': 'broker,controller',
    'node.id': '1',
    'controller.quorum.voters': '1@127.0.0.1:19093',
    listeners: `PLAINTEXT://0.0.0.0:${port},CONTROLLER://127.0.0.1:19093`,
    'advertised.listeners': `PLAINTEXT://${address}:${port}`,
    'listener.security.protocol.map':
      'PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT,SASL_PLAINTEXT:SASL_PLAINTEXT',
    'controller.listener.names': 'CONTROLLER',
    'inter.broker.listener.name': 'PLAINTEXT',
    'log.dirs': at('data'),
    'offsets.topic.replication.factor': '1',
    'offsets.topic.num.partitions': '1',
    'transaction.state.log.replication.factor': '1',
    'transaction.state.log.min.isr': '1',
    'transaction.state.log.num.partitions': '1',
    'share.coordinator.state.topic.replication.factor': '1',
    'share.coordinator.state.topic.min.isr': '1',
    'share.coordinator.state.topic.num.partitions': '1',
    'group.initial.rebalance.delay.ms': '0',
    'num.partitions': '1',
    'log.segment.bytes': '16777216',
    ...options.properties,
  };
  writeFileSync(
    at('server.properties'),
    Object.entries(properties)
      .map(([key, value]) => `${key}=${value}\n`)
      .join(''),
  );
  const java = (...args: readonly string[]) => [
    '-Xmx256m',
    '-XX:+UseSerialGC',
    '-XX:TieredStopAtLevel=1',
    '-cp',
    classPath,
    ...args,
  ];
  const format = spawnSync(
    'java',
    java('kafka.tools.StorageTool', 'format', '-t', 'weirweirweirweirweirwA', '-c', at('server.properties')),
    { encoding: 'utf8' },
  );
  if (format.status !== 0) throw new Error(`no storage: ${format.stdout}${format.stderr}`);
  const log = at('broker.log');
  const child = spawn(
    'bash',
    [
      '-c',
      `exec nsenter --net=${namespacePath(namespace)} java "$@" >${log} 2>&1`,
      'java',
      ...java('kafka.Kafka', at('server.properties')),
    ],
    { stdio: 'ignore' },
  );
  const exited = new Promise<void>((done) => child.once('exit', () => done()));
  await until(
    () => {
      if (child.exitCode !== null)
        throw new Error(`the broker ended: ${readFileSync(log, 'utf8').slice(-2000)}`);
      return answers(namespace, address, port);
    },
    'the broker answers',
    60_000,
  );
  return {
    address,
    port,
    classPath,
    log: () => readFileSync(log, 'utf8'),
    async stop() {
      child.kill('SIGKILL');
      await exited;
      rmSync(directory, { recursive: true, force: true });
    },
  };
}

/** Whether a broker lists itself. */
function answers(namespace: string, address: string, port: number): boolean {
  const args = [
    `--net=${namespacePath(namespace)}`,
    'kcat',
    '-b',
    `${address}:${port}`,
    '-L',
    '-J',
    '-m',
    '1',
  ];
  const { status, stdout } = spawnSync('nsenter', args, { encoding: 'utf8' });
  return status === 0 && stdout.includes('"brokers":[{');
}
