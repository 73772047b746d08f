import { Argument, Command } from 'commander';
import { clearKafkaStage, KAFKA_PODS, setKafkaStage } from '../demo/kafka-stage.ts';
import { tellKafkaStory } from '../demo/kafka-story.ts';
import { type DemoNode, type StageNames, stageNames } from '../demo/node.ts';
import { clearStage, PODS, setStage } from '../demo/stage.ts';
import { tellStory } from '../demo/story.ts';

/** A stage that can be left running. */
interface Left extends Pick<DemoNode, 'network' | 'policyDirectory' | 'strike'> {
  leave(): Promise<void> | void;
}

/** A story with its stage. */
interface Demo<Stage extends Left> {
  readonly instance: string;
  readonly workloads: number;
  readonly and: string;
  set(names: StageNames, stays: boolean): Promise<Stage>;
  tell(stage: Stage, say: (text: string) => void): Promise<void>;
  clear(names: StageNames): Promise<void>;
  /** What to try on a stage that is left running. */
  hints(stage: Stage): readonly string[];
}

type Say = (text: string) => void;

/** `weir demo`: stories about API-level policy, on real connections. */
export function demoCommand(): Command {
  return new Command('demo')
    .description('show API-level policy on real connections, in network namespaces of its own')
    .addArgument(
      new Argument('[story]', 'HTTP at the Death Star, or topics of a broker')
        .choices(['deathstar', 'kafka'])
        .default('deathstar'),
    )
    .option('--keep', 'leave it running and say how to look around')
    .option('--remove', 'remove what an earlier run left, and do nothing else')
    .action(async (story: string, options: { keep?: boolean; remove?: boolean }) => {
      if (process.getuid?.() !== 0)
        throw new Error('the demo needs root: it makes network namespaces and loads BPF programs');
      return story === 'kafka' ? perform(kafka, options) : perform(deathstar, options);
    });
}

async function perform<Stage extends Left>(
  demo: Demo<Stage>,
  { keep, remove }: { keep?: boolean; remove?: boolean },
): Promise<void> {
  const names = stageNames(demo.instance);
  if (remove === true) return demo.clear(names);
  const say: Say = (text) => void process.stdout.write(`${text}\n`);
  say(
    `Setting the stage: ${demo.workloads} workloads in network namespaces of their own, ${demo.and}an agent, an Envoy.`,
  );
  const stage = await demo.set(names, keep === true);
  let stopped = false;
  const interrupted = new Promise<'interrupted'>((resolve) => {
    for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const)
      process.on(signal, () => resolve('interrupted'));
  });
  try {
    stopped = (await Promise.race([demo.tell(stage, say), interrupted])) === 'interrupted';
  } finally {
    if (keep === true && !stopped) {
      say(
        ['', 'It is left running. Look around:', ...demo.hints(stage).map((hint) => `  ${hint}`)].join('\n'),
      );
      await stage.leave();
    } else {
      await stage.strike();
      say(stopped ? '\nInterrupted; everything is removed.' : '\nEverything is removed.');
    }
  }
  if (stopped) process.exitCode = 130;
}

const deathstar: Demo<Awaited<ReturnType<typeof setStage>>> = {
  instance: 'demo',
  workloads: PODS.length,
  and: '',
  set: (names, stays) => setStage(names, [], stays),
  tell: tellStory,
  clear: clearStage,
  hints: ({ network, policyDirectory }) => [
    './weir --instance demo status',
    './weir --instance demo monitor --last 20',
    "./weir --instance demo policy explain --from tiefighter --to deathstar --port 80 --http 'PUT /v1/exhaust-port'",
    `ip netns exec ${network.namespaceOf('tiefighter')} curl -si -X POST http://10.77.0.1/v1/request-landing`,
    `edit ${policyDirectory}/deathstar.yaml`,
    'remove it with ./weir demo --remove',
  ],
};

const kafka: Demo<Awaited<ReturnType<typeof setKafkaStage>>> = {
  instance: 'demo-kafka',
  workloads: KAFKA_PODS.length,
  and: 'a Kafka broker, ',
  set: setKafkaStage,
  tell: tellKafkaStory,
  clear: clearKafkaStage,
  hints: ({ network, policyDirectory }) => [
    './weir --instance demo-kafka status',
    './weir --instance demo-kafka monitor --last 20',
    "./weir --instance demo-kafka policy explain --from outpost --to kafka --port 9092 --kafka 'fetch plans'",
    `ip netns exec ${network.namespaceOf('archive')} kcat -b 10.77.1.1 -C -e -t plans`,
    `edit ${policyDirectory}/kafka.yaml`,
    'remove it with ./weir demo kafka --remove',
  ],
};
