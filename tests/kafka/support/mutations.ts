// Random damage to Kafka messages, the same for the same seed.
import { kafkaFilterConfig } from '@weir/envoy-config';
import { bodyStart, topicsAsBroker } from './as-broker.ts';
import {
  everyVersion,
  requestFrame,
  responseFrame,
  type SchemaRange,
  schemaOf,
  schemas,
} from './kafka-codec.ts';
import { slotsOf } from './rules.ts';
import { sample, topicId } from './samples.ts';
import { loadWasmFilter, type WasmFilter } from './wasm-filter.ts';

/** What a run did and found. */
export interface MutationRun {
  readonly mutated: number;
  readonly forwarded: number;
  readonly closed: number;
  readonly findings: readonly string[];
  readonly memoryBytes: number;
}

const fixed = { SessionId: 0, SessionEpoch: 0, ShareSessionEpoch: 0, ForgottenTopicsData: [] };
/** Of Produce: enough for a request to go on while it still comes. */
const large = { Records: Buffer.alloc(20_000) };
/** Parts of requests whose topics are not asked for (`unasked` of the generator). */
const unasked = ['ForgottenTopicsData', 'TopicPartitions'];
/** APIs whose answers are filtered, and Fetch, whose answers go by whether its topics are still allowed. */
const answeredKeys = [1, 3, 9, 35, 46, 65, 69, 75, 77, 89, 90];

/** A generator of numbers (mulberry32). */
export function randomOf(seed: number): (below: number) => number {
  let state = seed;
  return (below) => {
    state = (state + 0x6d2b79f5) | 0;
    let value = Math.imul(state ^ (state >>> 15), 1 | state);
    value = (value + Math.imul(value ^ (value >>> 7), 61 | value)) ^ value;
    return ((value ^ (value >>> 14)) >>> 0) % below;
  };
}

/** Changes some bytes of a frame; its size mostly stays true. */
function mutate(frame: Buffer, random: (below: number) => number): Buffer {
  let bytes = Buffer.from(frame);
  for (let left = 1 + random(4); left > 0; left--) {
    const at = 4 + random(bytes.length - 4);
    switch (random(7)) {
      case 0:
        bytes[at] = random(256);
        break;
      case 1:
        bytes[at] = (bytes[at]! ^ (1 << random(8))) & 0xff;
        break;
      case 2:
        bytes = Buffer.concat([bytes.subarray(0, at), Buffer.from([random(256)]), bytes.subarray(at)]);
        break;
      case 3:
        bytes = Buffer.concat([bytes.subarray(0, at), bytes.subarray(at + 1 + random(4))]);
        break;
      case 4:
        bytes = Buffer.concat([
          bytes.subarray(0, at),
          Buffer.from([0xff, 0xff, 0xff, 0xff, 0x0f].slice(random(5))),
        ]);
        break;
      case 5:
        bytes.fill([0, 0x7f, 0x80, 0xff][random(4)]!, at, Math.min(at + 1 + random(4), bytes.length));
        break;
      default:
        bytes = Buffer.concat([bytes.subarray(0, at), bytes.subarray(4 + random(at), bytes.length)]);
    }
    if (bytes.length < 16) bytes = Buffer.from(frame);
  }
  if (random(20) > 0) bytes.writeInt32BE(bytes.length - 4, 0);
  return bytes;
}

/**
 * Sends damaged requests and damaged answers through the built filter under rules that allow topic `orders` alone,
 * and looks at what comes out as a broker or a client would: no other topic may be in it. Half of them come in
 * pieces, and now and then the rules change before an answer.
 */
export function runMutations(count: number, seed: number): MutationRun {
  const random = randomOf(seed);
  const filter = loadWasmFilter();
  const [one, three, none] = [
    '[{topic: orders}]',
    '[{topic: a}, {topic: b}, {topic: orders}]',
    '[{topic: bills}]',
  ].map((rules) => kafkaFilterConfig({ revision: '', id: 'c', egress: null, ingress: slotsOf(rules) })) as [
    Uint8Array,
    Uint8Array,
    Uint8Array,
  ];
  filter.configure(one);
  teach(filter);
  const versions = everyVersion();
  const findings: string[] = [];
  let [forwarded, closed] = [0, 0];
  for (let index = 0; index < count; index++) {
    const { schema, version } = versions[random(versions.length)]!;
    const names = [['orders'], ['orders', 'secret'], ['secret']][random(3)]!;
    const request = requestFrame(
      schema,
      version,
      index,
      'me',
      sample(schema.request, version, names, { ...fixed, Acks: 1, ...(random(3) === 0 ? large : {}) }),
    );
    const connection = filter.connect();
    const said = (what: string, bytes: Buffer) =>
      findings.push(`seed ${seed} #${index} ${schema.name} ${version}: ${what}: ${bytes.toString('hex')}`);
    try {
      if (random(2) === 0) {
        const damaged = mutate(request, random);
        const out = inPieces(damaged, random, connection.request);
        if (out === null) closed += 1;
        else {
          if (out.length > 0) forwarded += 1;
          const leak = leakInRequests(out);
          if (leak !== null) said(`the broker reads ${leak}`, damaged);
        }
      } else {
        const key = answeredKeys[random(answeredKeys.length)]!;
        const asked = versions.filter((each) => each.schema.apiKey === key);
        const { schema: api, version: its } = asked[random(asked.length)]!;
        const fetches = key === 1;
        if (random(4) === 0) filter.configure(three);
        connection.request(
          requestFrame(
            api,
            its,
            index,
            'me',
            sample(api.request, its, ['orders'], fetches ? fixed : { Topics: null, TopicPartitions: null }),
          ),
        );
        const topics = fetches ? ['orders'] : ['orders', 'secret'];
        const answer = responseFrame(api, its, index, sample(api.response, its, topics));
        const damaged = random(4) === 0 ? answer : mutate(answer, random);
        if (random(4) === 0) filter.configure([one, three, none][random(3)]!);
        const out = inPieces(damaged, random, connection.answer);
        filter.configure(one);
        if (out === null) closed += 1;
        else {
          if (out.length > 0) forwarded += 1;
          const leak = fetches ? null : leakInAnswer(api, its, out);
          if (leak !== null) said(`the client of ${api.name} ${its} reads ${leak}`, damaged);
        }
      }
      connection.close();
    } catch (error) {
      said(`a trap: ${String(error)}`, request);
      return { mutated: index + 1, forwarded, closed, findings, memoryBytes: filter.memoryBytes };
    }
  }
  return { mutated: count, forwarded, closed, findings, memoryBytes: filter.memoryBytes };
}

/** Gives bytes to a side of a connection, half of the time in pieces; null: it was closed. */
function inPieces(
  bytes: Buffer,
  random: (below: number) => number,
  take: (piece: Buffer) => Buffer | null,
): Buffer | null {
  const most = random(2) === 0 ? bytes.length : 1 + random(bytes.length);
  const out: Buffer[] = [];
  for (let at = 0; at < bytes.length; ) {
    const size = most === bytes.length ? most : 1 + random(most);
    const went = take(bytes.subarray(at, at + size));
    if (went === null) return null;
    out.push(went);
    at += size;
  }
  return Buffer.concat(out);
}

/** Lets the filter learn the ids of both topics. */
function teach(filter: WasmFilter): void {
  const connection = filter.connect();
  const schema = schemaOf(3, 12);
  connection.request(requestFrame(schema, 12, 1, 'me', { Topics: null }));
  const topics = ['orders', 'secret'].map((Name) => ({ Name, TopicId: topicId(Name) }));
  connection.answer(responseFrame(schema, 12, 1, { Topics: topics }));
  connection.close();
}

function leakInRequests(out: Buffer): string | null {
  for (let at = 0; at + 12 <= out.length; ) {
    const size = 4 + out.readInt32BE(at);
    const frame = out.subarray(at, at + size);
    at += size;
    const [apiKey, version] = [frame.readInt16BE(4), frame.readInt16BE(6)];
    const schema = schemas.find(
      (each) => each.apiKey === apiKey && version >= each.versions[0] && version <= each.versions[1],
    );
    if (schema === undefined) return `API ${apiKey} version ${version}`;
    const start = bodyStart(schema, version, frame);
    if (start === null) continue;
    const names = topicsAsBroker(schema.request, version, frame, start, unasked) ?? [];
    const other = names.find((name) => name !== 'orders');
    if (other !== undefined) return JSON.stringify(other);
    // ConsumerGroupHeartbeat says by ids what a member owns already.
    if (apiKey !== 68 && frame.includes(topicId('secret'))) return 'an id of another topic';
  }
  return null;
}

function leakInAnswer(schema: SchemaRange, version: number, out: Buffer): string | null {
  if (out.length < 9) return null;
  const flexible = schema.response.flexible !== null && version >= schema.response.flexible;
  const names = topicsAsBroker(schema.response, version, out, flexible ? 9 : 8, []) ?? [];
  const other = names.find((name) => name !== 'orders');
  return other === undefined ? null : JSON.stringify(other);
}
