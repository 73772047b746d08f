import { execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import { rmSync } from 'node:fs';
import { classId } from '@weir/l7-policy';
import { until } from '../../envoy-config/support/envoy-under-test.ts';
import { entering, makeNetwork } from '../../envoy-config/support/network.ts';
import { temporaryFolder } from '../../run-name.ts';
import { startBroker } from './broker.ts';
import { startKafkaProxy } from './proxy.ts';
import { slotsOf } from './rules.ts';

/** How long a client may take, in milliseconds: a JVM on a busy machine is slow. */
export const CLIENT_MS = 180_000;

const topics = ['orders', 'bills', 'secrets'];

/** A real broker behind the filter in a real Envoy, with a record `seed` in each topic. */
export interface ClientScene {
  /** Where clients find the broker, as host:port. */
  readonly bootstrap: string;
  /** A folder for what belongs to clients; it goes at the end. */
  readonly directory: string;
  /** Words before a program that runs where clients live. */
  readonly enter: readonly [string, ...string[]];
  /** Lets clients use these topics, and waits until the filter's worker goes by it. */
  allow(...topics: readonly string[]): Promise<void>;
  /** Writes a record at the broker's side of the filter. */
  write(topic: string, value: string): void;
  /** All records of a topic that are committed, read at the broker's side of the filter. */
  records(topic: string): readonly string[];
  /** Waits until a topic has this record. */
  arrived(topic: string, value: string): Promise<void>;
  /** Waits until the filter has reported that it kept this topic from a client whose id begins so. */
  refused(clientId: string, topic: string): Promise<void>;
  stop(): Promise<void>;
}

/** Starts it with a Kafka release. At first orders and bills are allowed, secrets never. */
export async function startClientScene(version: string): Promise<ClientScene> {
  const network = makeNetwork('kafka-clients');
  network.redirect(9092, 15_000);
  const [proxy, broker] = await Promise.all([
    startKafkaProxy(network.proxy),
    startBroker({ namespace: network.server, address: network.serverAddress, version }),
  ]);
  const directory = temporaryFolder('clients');
  const bootstrap = `${network.serverAddress}:9092`;
  const kcat = (namespace: string, args: readonly string[], input = '') => {
    const [enter, ...words] = entering(namespace, 'kcat', '-b', bootstrap, ...args);
    return execFileSync(enter, words, { input, encoding: 'utf8', timeout: CLIENT_MS });
  };
  const wanted = (allowed: readonly string[]) => ({
    id: classId('kafka'),
    port: 15_000,
    egress: null,
    ingress: slotsOf(
      `[${allowed.flatMap((topic) => [`{role: produce, topic: ${topic}}`, `{role: consume, topic: ${topic}}`]).join(', ')}, {apiKey: incrementalalterconfigs}]`,
    ),
  });
  const scene: ClientScene = {
    bootstrap,
    directory,
    enter: entering(network.client),
    async allow(...allowed) {
      await proxy.setRules(wanted(allowed));
      // Envoy acknowledges before its worker has taken the new version.
      const expected = [...allowed].sort().join();
      await until(
        () => topicsIn(kcat(network.client, ['-L', '-J'])).join() === expected,
        `clients see ${expected}`,
        CLIENT_MS,
      );
    },
    write: (topic, value) => void kcat(network.server, ['-P', '-t', topic], `${value}\n`),
    records: (topic) => kcat(network.server, ['-C', '-t', topic, '-e', '-q']).split('\n').slice(0, -1),
    arrived: (topic, value) =>
      until(() => scene.records(topic).includes(value), `${topic} has ${value}`, CLIENT_MS),
    refused: (clientId, topic) =>
      until(
        () =>
          proxy.reports.some(
            (report) =>
              report.clientId.startsWith(clientId) &&
              report.topics.some(({ name, refused }) => refused && name === topic),
          ),
        `${topic} is refused to ${clientId}`,
        CLIENT_MS,
      ),
    async stop() {
      await proxy.stop();
      await broker.stop();
      network.remove();
      rmSync(directory, { recursive: true });
    },
  };
  for (const topic of topics) scene.write(topic, 'seed');
  await proxy.setClasses([wanted(['orders', 'bills'])]);
  return scene;
}

/** A client program that runs. */
export interface OpenClient {
  write(line: string): void;
  output(): string;
  errors(): string;
  /** Waits until it has printed this. */
  printed(text: string): Promise<void>;
  /** Waits until it has ended, with this on its input before, if anything. */
  ended(input?: string): Promise<void>;
  kill(): Promise<void>;
}

/** Starts a program where clients live. */
export function openClient({ enter }: ClientScene, command: readonly string[]): OpenClient {
  const [program, ...words] = enter;
  const child = spawn(program, [...words, ...command], { stdio: 'pipe' });
  const exited = once(child, 'close');
  // One that has ended takes no more input.
  child.stdin.on('error', () => undefined);
  let [output, errors] = ['', ''];
  child.stdout.setEncoding('utf8').on('data', (text: string) => (output += text));
  child.stderr.setEncoding('utf8').on('data', (text: string) => (errors += text));
  const hasEnded = () => child.exitCode !== null || child.signalCode !== null;
  const seen = () => `${command.at(0)}: ${output}\n${errors}`;
  async function wait(holds: () => boolean, what: string): Promise<void> {
    try {
      await until(holds, what, CLIENT_MS);
    } catch (error) {
      child.kill('SIGKILL');
      throw new Error(seen(), { cause: error });
    }
  }
  return {
    write: (line) => void child.stdin.write(`${line}\n`),
    output: () => output,
    errors: () => errors,
    async printed(text) {
      await wait(() => output.includes(text) || hasEnded(), `it printed ${text}`);
      if (!output.includes(text)) throw new Error(`it ended without ${text}: ${seen()}`);
    },
    async ended(input = '') {
      child.stdin.end(input);
      await wait(hasEnded, 'it ended');
      await exited;
    },
    async kill() {
      child.kill('SIGKILL');
      await exited;
    },
  };
}

/** The topics of `kcat -L -J` that do not belong to the broker itself. */
function topicsIn(listed: string): readonly string[] {
  const { topics: all } = JSON.parse(listed) as { readonly topics: readonly { readonly topic: string }[] };
  return all
    .map(({ topic }) => topic)
    .filter((topic) => !topic.startsWith('__'))
    .sort();
}
