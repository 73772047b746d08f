import { type ChildProcess, spawn } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { type Broker, startBroker } from './broker.ts';
import type { Pod } from './network.ts';
import { clearNode, type DemoNode, exampleFolder, type StageNames, setNode } from './node.ts';
import { ended } from './run.ts';

/** A broker, and clients that are kcat, each in a namespace of its own, with an agent on the node between them. */
export interface KafkaStage extends DemoNode {
  /** Writes one record; resolves with what kcat says when it does not succeed, else with ''. */
  produce(pod: KafkaClient, topic: string, record: string): Promise<string>;
  /** Reads a topic to its end. */
  consume(pod: KafkaClient, topic: string): Promise<Reading>;
  /** The topics that a client is told of, sorted; an error in kcat's words when it learns nothing. */
  topics(pod: KafkaClient): Promise<readonly string[] | string>;
  /** Reads a topic for as long as it goes; what is written from now on. */
  follow(pod: KafkaClient, topic: string): Follower;
  /** Lets this process end while broker, agent and Envoy go on, on a stage that stays. */
  leave(): void;
  strike(): Promise<void>;
}

export type KafkaClient = 'headquarters' | 'outpost' | 'archive' | 'rogue';

/** What a reader got, and kcat's complaint, '' when there was none. */
export interface Reading {
  readonly records: readonly string[];
  readonly error: string;
}

/** A consumer that goes on. */
export interface Follower {
  /** What it has so far. */
  seen(): Reading;
  close(): Promise<void>;
}

const EXAMPLE = exampleFolder('kafka');
const BROKER = { address: '10.77.1.1', port: 9092 };
/** The addresses that examples/kafka/workloads.yaml names. */
export const KAFKA_PODS: readonly Pod[] = Object.freeze([
  { name: 'kafka', address: BROKER.address, interface: 'weir-kafka' },
  { name: 'headquarters', address: '10.77.1.2', interface: 'weir-hq' },
  { name: 'outpost', address: '10.77.1.3', interface: 'weir-outpost' },
  { name: 'archive', address: '10.77.1.4', interface: 'weir-archive' },
  { name: 'rogue', address: '10.77.1.5', interface: 'weir-rogue' },
]);
/** librdkafka tries for ever; these are how long a client of the demo waits. */
const PATIENCE = [
  '-X',
  'message.timeout.ms=15000',
  '-X',
  'socket.connection.setup.timeout.ms=2000',
  '-m',
  '10',
];

/** Sets the stage: network, broker and an agent without policies. What an earlier run left goes first. */
export async function setKafkaStage(names: StageNames, stays = false): Promise<KafkaStage> {
  const workloads = join(EXAMPLE, 'workloads.yaml');
  const node = await setNode(names, { pods: KAFKA_PODS, workloads, stays });
  let broker: Broker | undefined;

  function kcat(pod: KafkaClient, words: readonly string[]): ChildProcess {
    const [program, ...enter] = node.network.inPod(pod);
    const all = [...enter, 'kcat', '-b', `${BROKER.address}:${BROKER.port}`, ...PATIENCE, ...words];
    return spawn(program, all, { stdio: 'pipe', detached: true });
  }

  async function strike(): Promise<void> {
    await broker?.stop();
    await node.strike();
  }

  try {
    await node.startAgent();
    broker = await startBroker({
      ...BROKER,
      enter: node.network.inPod('kafka'),
      directory: join(names.runDirectory, 'broker'),
    });
    const running = broker;
    return {
      ...node,
      async produce(pod, topic, record) {
        const child = kcat(pod, ['-P', '-t', topic, '-X', 'topic.message.timeout.ms=4000']);
        child.stdin?.end(`${record}\n`);
        return complaint(await outputOf(child));
      },
      async consume(pod, topic) {
        const output = await outputOf(kcat(pod, ['-C', '-q', '-e', '-t', topic]));
        return { records: lines(output.stdout), error: complaint(output) };
      },
      async topics(pod) {
        const output = await outputOf(kcat(pod, ['-L', '-J']));
        const error = complaint(output);
        if (error !== '') return error;
        const { topics } = JSON.parse(output.stdout) as { topics: readonly { topic: string }[] };
        return topics.map(({ topic }) => topic).sort();
      },
      follow(pod, topic) {
        const child = kcat(pod, ['-C', '-u', '-o', 'end', '-t', topic]);
        const output = gather(child);
        return {
          seen: () => ({ records: lines(output.stdout), error: complaint(output) }),
          async close() {
            child.kill('SIGTERM');
            await ended(child);
          },
        };
      },
      leave() {
        running.leave();
        node.agent()?.unref();
      },
      strike,
    };
  } catch (error) {
    await strike();
    throw error;
  }
}

/** Text of a file of the example. */
export function kafkaExampleText(name: string): string {
  return readFileSync(join(EXAMPLE, name), 'utf8');
}

/** Removes whatever a stage of these names left, whether it ended well or not. */
export function clearKafkaStage(names: StageNames): Promise<void> {
  return clearNode(names, KAFKA_PODS);
}

interface Output {
  stdout: string;
  stderr: string;
}

function gather(child: ChildProcess): Output {
  const output = { stdout: '', stderr: '' };
  child.stdout?.setEncoding('utf8').on('data', (part: string) => {
    output.stdout += part;
  });
  child.stderr?.setEncoding('utf8').on('data', (part: string) => {
    output.stderr += part;
  });
  return output;
}

async function outputOf(child: ChildProcess): Promise<Output> {
  const output = gather(child);
  await new Promise((resolve) => child.once('close', resolve));
  return output;
}

/** kcat's last complaint: what stands behind `% ERROR: `. */
function complaint({ stderr }: Output): string {
  const errors = stderr
    .split('\n')
    .filter((line) => line.startsWith('% ERROR') || line.startsWith('% Delivery'));
  return (errors.at(-1) ?? '').replace(/^% (ERROR: )?/, '').replace(/: terminating$/, '');
}

function lines(text: string): readonly string[] {
  return text.split('\n').filter((line) => line !== '');
}
