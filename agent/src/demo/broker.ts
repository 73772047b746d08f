import { type ChildProcess, spawn } from 'node:child_process';
import { existsSync, mkdirSync, openSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { ended, run } from './run.ts';

/** Kafka releases that `make setup` brings, for tests and the demo. */
export const brokerVersions = { newest: '4.3.0', oldest: '3.9.1' } as const;

/** A broker with its own controller (KRaft). */
export interface Broker {
  readonly address: string;
  readonly port: number;
  /** All jars of the release, for Java clients: `java -cp`. */
  readonly classPath: string;
  log(): string;
  /** Ends the broker and removes its folder. */
  stop(): Promise<void>;
  /** Lets this process end while the broker goes on. */
  leave(): void;
}

export interface BrokerOptions {
  /** Words to put before a program so that it runs where the broker lives. */
  readonly enter: readonly [string, ...string[]];
  /** A folder of the broker's own; it is made, and removed at the end. */
  readonly directory: string;
  /** An address of the broker's host that clients use; policy applies where connections to it are judged. */
  readonly address: string;
  readonly port?: number;
  readonly version?: string;
  /** More lines of server.properties. */
  readonly properties?: Readonly<Record<string, string>>;
}

const cache = resolve(import.meta.dirname, '../../../build/kafka');
/** How long a broker may take until it answers. */
const READY_MS = 60_000;

/** Starts a broker and waits until it answers. Throws with its log when it does not. */
export async function startBroker(options: BrokerOptions): Promise<Broker> {
  const { enter, directory, address, port = 9092, version = brokerVersions.newest } = options;
  const classPath = kafkaJars(version);
  rmSync(directory, { recursive: true, force: true });
  mkdirSync(directory, { recursive: true, mode: 0o700 });
  const properties = join(directory, 'server.properties');
  writeFileSync(properties, propertiesOf(options, join(directory, 'data'), port));
  const java = (...args: readonly string[]) => [
    '-Xmx256m',
    '-XX:+UseSerialGC',
    '-XX:TieredStopAtLevel=1',
    '-cp',
    classPath,
    ...args,
  ];
  await run(
    'java',
    java('kafka.tools.StorageTool', 'format', '-t', 'weirweirweirweirweirwA', '-c', properties),
  );
  const logPath = join(directory, 'broker.log');
  const log = openSync(logPath, 'a');
  const [program, ...words] = enter;
  const child = spawn(program, [...words, 'java', ...java('kafka.Kafka', properties)], {
    stdio: ['ignore', log, log],
    detached: true,
  });
  const broker: Broker = {
    address,
    port,
    classPath,
    log: () => readFileSync(logPath, 'utf8'),
    async stop() {
      child.kill('SIGKILL');
      await ended(child);
      rmSync(directory, { recursive: true, force: true });
    },
    leave: () => child.unref(),
  };
  try {
    await answering(enter, broker, child);
  } catch (error) {
    await broker.stop();
    throw error;
  }
  return broker;
}

/** The jars of a release, which `make setup` brought. */
function kafkaJars(version: string): string {
  const folder = join(cache, version);
  if (!existsSync(folder)) throw new Error(`no Kafka ${version} in ${folder}: run make setup`);
  return `${folder}/*`;
}

function propertiesOf({ address, properties }: BrokerOptions, data: string, port: number): string {
  const all: Readonly<Record<string, string>> = {
    'process.roles': 'broker,controller',
    'node.id': '1',
    'controller.quorum.voters': '1@127.0.0.1:19093',
    listeners: `PLAINTEXT://0.0.0.0:${port},CONTROLLER://127.0.0.1:19093`,
    'advertised.listeners': `PLAINTEXT://${address}:${port}`,
    'listener.security.protocol.map':
      'PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT,SASL_PLAINTEXT:SASL_PLAINTEXT',
    'controller.listener.names': 'CONTROLLER',
    'inter.broker.listener.name': 'PLAINTEXT',
    'log.dirs': data,
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
    ...properties,
  };
  return Object.entries(all)
    .map(([key, value]) => `${key}=${value}\n`)
    .join('');
}

/** Returns when the broker lists itself to a client at its own side. */
async function answering(
  [program, ...words]: BrokerOptions['enter'],
  { address, port, log }: Broker,
  child: ChildProcess,
): Promise<void> {
  const deadline = performance.now() + READY_MS;
  for (;;) {
    if (child.exitCode !== null) throw new Error(`the broker ended: ${log().slice(-2000)}`);
    try {
      const listed = await run(program, [
        ...words,
        'kcat',
        '-b',
        `${address}:${port}`,
        '-L',
        '-J',
        '-m',
        '1',
      ]);
      if (listed.includes('"brokers":[{')) return;
    } catch {
      // It does not listen yet.
    }
    if (performance.now() > deadline) throw new Error(`the broker does not answer: ${log().slice(-2000)}`);
  }
}
