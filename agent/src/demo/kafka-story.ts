import { showFlow } from '../cli/show-flow.ts';
import { table } from '../cli/table.ts';
import type { Flow } from '../flows/flow.ts';
import { type KafkaClient, type KafkaStage, kafkaExampleText } from './kafka-stage.ts';
import { expect, firstOfEach } from './telling.ts';

const POLICY = 'kafka.yaml';
const REFUSED = /[Tt]opic authorization failed/;
/** A deadline for what takes milliseconds on an idle machine. */
const DEADLINE_MS = 30_000;

/** What somebody tries, and how it must end. */
interface Attempt {
  readonly who: KafkaClient;
  readonly what: string;
  act(): Promise<Ending>;
  readonly expected: RegExp;
}

interface Ending {
  readonly text: string;
}

/** Tells the story with real clients and a real broker. Throws when a line of it does not come true. */
export async function tellKafkaStory(stage: KafkaStage, say: (text: string) => void): Promise<void> {
  say('\n1. No policy. Everybody writes and reads every topic.');
  await show(say, [
    write(stage, 'headquarters', 'announcements', 'ships land at noon', /^written$/),
    write(stage, 'headquarters', 'plans', 'the exhaust port', /^written$/),
    read(stage, 'outpost', 'plans', /"the exhaust port"/),
    read(stage, 'rogue', 'plans', /"the exhaust port"/),
  ]);

  say('\n2. 1-topics.yaml: who may write and read which topic. A refusal is the protocol’s own.');
  stage.savePolicy(POLICY, kafkaExampleText('1-topics.yaml'));
  await stage.sync();
  await show(say, [
    write(stage, 'headquarters', 'announcements', 'ships land at one', /^written$/),
    read(stage, 'outpost', 'announcements', /"ships land at noon", "ships land at one"/),
    read(stage, 'outpost', 'plans', REFUSED),
    write(stage, 'outpost', 'announcements', 'false news', REFUSED),
    read(stage, 'archive', 'plans', /"the exhaust port"/),
    list(stage, 'rogue', /[Bb]roker transport failure/),
  ]);

  say('\n3. A client is told of the topics that it may use, and of no others.');
  await show(say, [
    list(stage, 'headquarters', /^announcements, plans$/),
    list(stage, 'outpost', /^announcements$/),
    list(stage, 'archive', /^plans$/),
  ]);

  say('\n4. The permission goes while a consumer waits for the next record.');
  await revokeWhileWaiting(stage, say);

  say('\n5. Why? The last verdicts (`weir monitor`):');
  for (const flow of distinct(await stage.flows(500))) say(`   ${showFlow(flow)}`);
}

/** Takes an outpost's permission away under a fetch that waits, and measures how long that takes. */
async function revokeWhileWaiting(stage: KafkaStage, say: (text: string) => void): Promise<void> {
  const follower = stage.follow('outpost', 'announcements');
  try {
    // A consumer begins at the end that it finds: announcements are made until it hears one.
    let count = 0;
    await until('the outpost hears an announcement', async () => {
      count += 1;
      await stage.produce('headquarters', 'announcements', `announcement ${count}`);
      return follower.seen().records.length > 0;
    });
    say('   outpost reads announcements and waits for the next one.');
    const text = kafkaExampleText('1-topics.yaml');
    const savedAt = stage.savePolicy(
      POLICY,
      text.replace('{ role: consume, topic: announcements }', '{ role: consume, topic: weather }'),
    );
    await until('the outpost is refused', async () => REFUSED.test(follower.seen().error));
    say(
      `   Its consumer was told "${follower.seen().error}" ${(performance.now() - savedAt).toFixed(0)} ms after the file was saved.`,
    );
    await stage.sync();
    const missed = 'retreat';
    expect(
      (await stage.produce('headquarters', 'announcements', missed)) === '',
      'headquarters may still write',
    );
    expect(!follower.seen().records.includes(missed), 'no record reaches who lost the permission');
  } finally {
    await follower.close();
  }
}

function write(
  stage: KafkaStage,
  who: KafkaClient,
  topic: string,
  record: string,
  expected: RegExp,
): Attempt {
  return {
    who,
    what: `write ${JSON.stringify(record)} to ${topic}`,
    act: async () => ({ text: (await stage.produce(who, topic, record)) || 'written' }),
    expected,
  };
}

function read(stage: KafkaStage, who: KafkaClient, topic: string, expected: RegExp): Attempt {
  return {
    who,
    what: `read ${topic}`,
    act: async () => {
      const { records, error } = await stage.consume(who, topic);
      return { text: error || records.map((record) => JSON.stringify(record)).join(', ') || 'nothing' };
    },
    expected,
  };
}

function list(stage: KafkaStage, who: KafkaClient, expected: RegExp): Attempt {
  return {
    who,
    what: 'list topics',
    act: async () => {
      const topics = await stage.topics(who);
      return { text: typeof topics === 'string' ? topics : topics.join(', ') || 'none' };
    },
    expected,
  };
}

/** Makes the attempts, prints them in a table, and checks each outcome. */
async function show(say: (text: string) => void, attempts: readonly Attempt[]): Promise<void> {
  const rows: string[][] = [];
  for (const { who, what, act, expected } of attempts) {
    const { text } = await act();
    rows.push([`   ${who}`, what, text]);
    expect(expected.test(text), `${who}: ${what} ends with ${expected}, not with "${text}"`);
  }
  say(table([['   FROM', 'WHAT', 'OUTCOME'], ...rows]));
}

/** Kafka requests on topics, and drops; the first of each kind. */
function distinct(flows: readonly Flow[]): readonly Flow[] {
  const telling = flows.filter(
    ({ kafka, verdict }) => (kafka !== null && kafka.topics.length > 0) || verdict === 'denied',
  );
  return firstOfEach(telling, keyOf);
}

function keyOf({ verdict, source, kafka }: Flow): string {
  return [verdict, source.endpoint, kafka?.api, ...(kafka?.topics ?? []).map(({ name }) => name)].join(' ');
}

async function until(what: string, holds: () => Promise<boolean>): Promise<void> {
  const deadline = performance.now() + DEADLINE_MS;
  while (!(await holds())) {
    expect(performance.now() < deadline, what);
    await new Promise((next) => setTimeout(next, 5));
  }
}
