import { type ChildProcess, spawn } from 'node:child_process';
import { existsSync, mkdirSync, openSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { ended, run } from './run.ts';

/** Kafka releases that `make setup` brings, for tests and the demo. */
export const brokerVersions = { newest: '4.3.0', middle: '3.9.1', oldest: '2.0.0' } as const;

/** A broker with its own controller (KRaft), or ZooKeeper before Kafka 3. */
export interface Broker {
  readonly address: string;
  readonly port: number;
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
}

const cache = resolve(import.meta.dirname, '../../../build/kafka');
/** How long a broker may take until it answers. */
const READY_MS = 60_000;

/** Starts a broker and waits until it answers. Throws with its log when it does not. */
export async function startBroker({
  enter,
  directory,
  address,
  port = 9092,
  version = brokerVersions.newest,
}: BrokerOptions): Promise<Broker> {
  const java = [
    '-Xmx256m',
    '-XX:+UseSerialGC',
    '-XX:TieredStopAtLevel=1',
    '-cp',
    kafkaClassPath(version),
  ] as const;
  rmSync(directory, { recursive: true, force: true });
  mkdirSync(directory, { recursive: true, mode: 0o700 });
  const write = (name: string, properties: Properties): string => {
    const path = join(directory, name);
    const lines = Object.entries(properties).map(([key, value]) => `${key}=${value}\n`);
    writeFileSync(path, lines.join(''));
    return path;
  };
  const common = commonProperties(address, port, join(directory, 'data'));
  let main: readonly string[];
  if (version.startsWith('2.')) {
    const keeper = write('zookeeper.properties', keeperProperties(join(directory, 'keeper')));
    const broker = write('server.properties', { ...underZooKeeper(port), ...common });
    main = [join(import.meta.dirname, 'KafkaWithZooKeeper.java'), keeper, broker];
  } else {
    const broker = write('server.properties', { ...ownController(port), ...common });
    const format = ['kafka.tools.StorageTool', 'format', '-t', 'weirweirweirweirweirwA', '-c', broker];
    await run('java', [...java, ...format]);
    main = ['kafka.Kafka', broker];
  }
  const logPath = join(directory, 'broker.log');
  const log = openSync(logPath, 'a');
  const [program, ...words] = enter;
  const child = spawn(program, [...words, 'java', ...java, ...main], {
    stdio: ['ignore', log, log],
    detached: true,
  });
  const broker: Broker = {
    address,
    port,
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

/** The jars of a release, which `make setup` brought, for `java -cp`. */
export function kafkaClassPath(version: string): string {
  const folder = join(cache, version);
  if (!existsSync(folder)) throw new Error(`no Kafka ${version} in ${folder}: run make setup`);
  return `${folder}/*`;
}

type Properties = Readonly<Record<string, string>>;

/** What brokers of all releases understand, or ignore. */
function commonProperties(address: string, port: number, data: string): Properties {
  return {
    'advertised.listeners': `PLAINTEXT://${address}:${port}`,
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
  };
}

function ownController(port: number): Properties {
  return {
    'process.roles': 'broker,controller',
    'node.id': '1',
    'controller.quorum.voters': '1@127.0.0.1:19093',
    'controller.listener.names': 'CONTROLLER',
    listeners: `PLAINTEXT://0.0.0.0:${port},CONTROLLER://127.0.0.1:19093`,
    'listener.security.protocol.map': 'PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT',
  };
}

const KEEPER = { address: '127.0.0.1', port: 2181 } as const;

function underZooKeeper(port: number): Properties {
  return {
    'broker.id': '1',
    'zookeeper.connect': `${KEEPER.address}:${KEEPER.port}`,
    listeners: `PLAINTEXT://0.0.0.0:${port}`,
  };
}

function keeperProperties(data: string): Properties {
  return {
    dataDir: data,
    clientPort: `${KEEPER.port}`,
    clientPortAddress: KEEPER.address,
    'admin.enableServer': 'false',
  };
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
