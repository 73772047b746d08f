/** A process around kafkajs, driven by lines: see client-program.ts. */
import { randomUUID } from 'node:crypto';
import { createInterface } from 'node:readline';
import { type Consumer, Kafka, logLevel, type Producer } from 'kafkajs';

const [broker = ''] = process.argv.slice(2);
const kafka = new Kafka({ clientId: 'kafkajs', brokers: [broker], logLevel: logLevel.NOTHING });
const producers = new Map<string, Producer>();
let consumer: Consumer | null = null;
let events = queue();

for await (const line of createInterface(process.stdin)) {
  const [order = '', ...words] = line.split(' ');
  console.log(await obey(order, words).catch(errorName));
}

async function obey(order: string, words: readonly string[]): Promise<string> {
  const [mode = '', ...rest] = words;
  switch (order) {
    case 'produce':
      return produce(mode, rest);
    case 'consume':
      return consume(words.slice(1));
    case 'next':
      return events.take();
    case 'leave':
      await consumer?.disconnect();
      return 'ok';
    default:
      throw new Error(`no such order: ${order}`);
  }
}

async function produce(mode: string, [value = '', ...topics]: readonly string[]): Promise<string> {
  const producer = await producerOf(mode);
  const batch = { topicMessages: topics.map((topic) => ({ topic, messages: [{ value }] })) };
  const all = (outcome: string) => topics.map((topic) => `${topic}=${outcome}`).join(' ');
  if (mode !== 'transactional') {
    return producer.sendBatch(batch).then(
      () => all('ok'),
      (error: unknown) => all(errorName(error)),
    );
  }
  const transaction = await producer.transaction();
  try {
    await transaction.sendBatch(batch);
    await transaction.commit();
    return `${all('ok')} transaction=committed`;
  } catch (error) {
    await transaction.abort();
    return `${all(errorName(error))} transaction=aborted`;
  }
}

async function producerOf(mode: string): Promise<Producer> {
  const known = producers.get(mode);
  if (known !== undefined) return known;
  const producer = kafka.producer({
    idempotent: mode !== 'plain',
    maxInFlightRequests: 1,
    ...(mode === 'transactional' ? { transactionalId: randomUUID() } : {}),
  });
  await producer.connect();
  producers.set(mode, producer);
  return producer;
}

async function consume(topics: readonly string[]): Promise<string> {
  const mine = queue();
  events = mine;
  consumer = kafka.consumer({ groupId: randomUUID() });
  consumer.on('consumer.crash', ({ payload }) => mine.put(errorName(payload.error)));
  await consumer.connect();
  await consumer.subscribe({ topics: [...topics], fromBeginning: true });
  await consumer.run({
    eachMessage: async ({ topic, message }) => mine.put(`${topic}:${message.value?.toString()}`),
  });
  return 'ok';
}

function errorName(error: unknown): string {
  if (!(error instanceof Error)) return String(error);
  if ('type' in error) return String(error.type);
  return error.cause === undefined ? error.message : errorName(error.cause);
}

function queue(): { put(text: string): void; take(): Promise<string> } {
  const texts: string[] = [];
  const takers: ((text: string) => void)[] = [];
  return {
    put(text) {
      const taker = takers.shift();
      if (taker === undefined) texts.push(text);
      else taker(text);
    },
    take() {
      const text = texts.shift();
      return text === undefined ? new Promise((done) => takers.push(done)) : Promise.resolve(text);
    },
  };
}
