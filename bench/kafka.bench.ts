// Kafka through the filter against a plain TCP proxy, both in one Envoy of one worker, rounds interleaved:
// `node bench/kafka.bench.ts [ROUNDS]` as root.
import { type ChildProcess, spawn } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { resolve } from 'node:path';
import { classId } from '@weir/l7-policy';
import { makeNetwork, namespacePath } from '../tests/envoy-config/support/network.ts';
import { requestFrame, schemaOf } from '../tests/kafka/support/kafka-codec.ts';
import { startKafkaProxy } from '../tests/kafka/support/proxy.ts';
import { slotsOf } from '../tests/kafka/support/rules.ts';
import type { Load, Measured } from './kafka/peer.ts';
import { type Figure, writeResult } from './result.ts';
import { median } from './statistics.ts';
import { table } from './table.ts';

const rounds = Number(process.argv[2] ?? 7);
const peerPath = resolve(import.meta.dirname, 'kafka/peer.ts');
const ruleCounts = [1, 100, 10_000] as const;
const plainPort = 15_100;

/** Starts a peer in a namespace and waits until it says that it is there. */
async function startPeer(namespace: string, ...words: readonly string[]): Promise<ChildProcess> {
  const child = spawn(
    'nsenter',
    [`--net=${namespacePath(namespace)}`, process.execPath, peerPath, ...words],
    {
      stdio: ['ignore', 'inherit', 'inherit', 'ipc'],
    },
  );
  await new Promise((done) => child.once('message', done));
  return child;
}

function rulesWith(count: number) {
  const rules = Array.from({ length: count }, (_, index) => `{topic: t${index}}`);
  return slotsOf(`[${rules.join(', ')}]`);
}

const topic = (count: number) => `t${count - 1}`;
const produce = (name: string, bytes: number) =>
  requestFrame(schemaOf(0, 3), 3, 0, 'bench', {
    TransactionalId: null,
    Acks: 1,
    TopicData: [{ Name: name, PartitionData: [{ Index: 0, Records: Buffer.alloc(bytes) }] }],
  });
const fetch = (name: string) =>
  requestFrame(schemaOf(1, 6), 6, 0, 'bench', { Topics: [{ Topic: name, Partitions: [{ Partition: 0 }] }] });

const network = makeNetwork('kafka-bench');
const serverPort = (proxyPort: number) => proxyPort - 10_000;
const classes = ruleCounts.map((count, index) => ({
  id: classId(`rules-${count}`),
  port: 15_000 + index,
  egress: null,
  ingress: rulesWith(count),
}));
const ways = [
  { name: 'TCP proxy', port: plainPort, topic: topic(1) },
  ...classes.map(({ port }, index) => ({
    name: `${ruleCounts[index]} rules`,
    port,
    topic: topic(ruleCounts[index] ?? 1),
  })),
];
const servers: ChildProcess[] = [];
const proxy = await startKafkaProxy(network.proxy, 1);
const client = await startPeer(network.client, 'ask');
try {
  for (const { port } of ways) {
    network.redirect(serverPort(port), port);
    servers.push(await startPeer(network.server, 'serve', String(serverPort(port))));
  }
  await proxy.setClasses(classes);
  await proxy.setPlain({ id: 'plain', port: plainPort });
  await measure();
} finally {
  await proxy.stop();
  for (const child of [client, ...servers]) child.disconnect();
  network.remove();
}

function ask(
  port: number,
  frame: Buffer,
  requests: number,
  inFlight: number,
  untilRefused = false,
): Promise<Measured> {
  const load: Load = {
    host: network.serverAddress,
    port: serverPort(port),
    frame: frame.toString('base64'),
    requests,
    inFlight,
    untilRefused,
  };
  client.send(load);
  return new Promise((done, fail) => {
    const gone = () => fail(new Error('the client ended'));
    client.once('exit', gone);
    client.once('message', (answer) => {
      client.off('exit', gone);
      done(answer as Measured);
    });
  });
}

/** Seconds of CPU that Envoy has used. */
function cpuSeconds(): number {
  const fields = readFileSync(`/proc/${proxy.pid}/stat`, 'utf8').split(') ')[1]?.split(' ') ?? [];
  return (Number(fields[11]) + Number(fields[12])) / 100;
}

/** Of one way, a value for each round. */
interface Seen {
  readonly small: number[];
  readonly large: number[];
  readonly fetch: number[];
  readonly p50: number[];
  readonly p99: number[];
  readonly cpu: number[];
}

async function measure(): Promise<void> {
  const seen = ways.map((): Seen => ({ small: [], large: [], fetch: [], p50: [], p99: [], cpu: [] }));
  for (let round = 0; round < rounds; round++) {
    for (const [index, way] of ways.entries()) {
      const into = seen[(index + round) % ways.length];
      const { port, topic: name } = ways[(index + round) % ways.length] ?? way;
      if (into === undefined) continue;
      const single = (await ask(port, produce(name, 100), 1_500, 1)).micros.toSorted((a, b) => a - b);
      into.p50.push(single[Math.floor(single.length / 2)] ?? Number.NaN);
      into.p99.push(single[Math.floor(single.length * 0.99)] ?? Number.NaN);
      const before = cpuSeconds();
      const small = await ask(port, produce(name, 1_000), 20_000, 32);
      into.cpu.push(((cpuSeconds() - before) / 20_000) * 1e6);
      into.small.push(20_000 / small.seconds);
      into.large.push(2_000 / (await ask(port, produce(name, 100_000), 2_000, 8)).seconds);
      into.fetch.push(2_000 / (await ask(port, fetch(name), 2_000, 8)).seconds);
    }
  }
  const middle = (values: readonly number[]) => median(values).median;
  const plain = seen[0];
  const rows = ways.map(({ name }, index) => {
    const mine = seen[index] ?? plain;
    if (mine === undefined || plain === undefined) return [name];
    const ratio = (pick: (from: Seen) => readonly number[]) => {
      const ratios = pick(mine).map((value, at) => value / (pick(plain)[at] ?? Number.NaN));
      return middle(ratios).toFixed(2);
    };
    const added = middle(mine.p50.map((value, at) => value - (plain.p50[at] ?? Number.NaN)));
    return [
      name,
      `${middle(mine.small).toFixed(0)} (${ratio(({ small }) => small)})`,
      `${middle(mine.large).toFixed(0)} (${ratio(({ large }) => large)})`,
      `${middle(mine.fetch).toFixed(0)} (${ratio(({ fetch: fetched }) => fetched)})`,
      `${middle(mine.p50).toFixed(0)} (+${added.toFixed(0)})`,
      middle(mine.p99).toFixed(0),
      middle(mine.cpu).toFixed(1),
    ];
  });
  console.log(
    `Node peers on this machine, ${rounds} rounds, medians; in brackets: against the TCP proxy, round by round.`,
  );
  console.log(
    table([
      ['', 'produce 1 kB /s', 'produce 100 kB /s', 'fetch 100 kB /s', 'p50 µs', 'p99 µs', 'CPU µs/request'],
      ...rows,
    ]),
  );
  const effect = await ruleChanges();
  console.log(`rule change to effect on an open connection: p50 ${middle(effect).toFixed(1)} ms`);
  const last = seen.at(-1);
  if (last === undefined || plain === undefined) return;
  const figures: Record<string, Figure> = {
    'produce 1 kB, 10,000 rules, of TCP': {
      value: middle(last.small) / middle(plain.small),
      unit: 'ratio',
      better: 'higher',
    },
    'rule change to effect': { value: middle(effect), unit: 'ms', better: 'lower' },
  };
  writeResult('kafka', figures);
}

/** From the moment a rule is given to the first refused request of a connection that keeps asking, in ms. */
async function ruleChanges(): Promise<readonly number[]> {
  const [one] = classes;
  if (one === undefined) return [];
  const times: number[] = [];
  while (times.length < 21) {
    await proxy.setRules({ ...one, ingress: rulesWith(1) });
    const asking = ask(one.port, produce('t0', 100), 100_000, 1, true);
    const changed = process.hrtime.bigint();
    await proxy.setRules({ ...one, ingress: slotsOf('[{topic: other}]') });
    const { refusedAt } = await asking;
    if (refusedAt !== null) times.push(Number(BigInt(refusedAt) - changed) / 1e6);
  }
  return times;
}
