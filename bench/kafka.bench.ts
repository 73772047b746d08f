// What the Kafka filter costs: the same Envoy with and without it, at 1, 100 and 10,000 topic rules, between a real broker
// and clients that keep it busy, interleaved in one run. `node bench/kafka.bench.ts [ROUNDS] [MS]`
import { type ChildProcess, execFile, spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { promisify } from 'node:util';
import { classId } from '@weir/l7-policy';
import { entering, inside, makeNetwork } from '../tests/envoy-config/support/network.ts';
import { startBroker } from '../tests/kafka/support/broker.ts';
import { type KafkaClass, startKafkaProxy } from '../tests/kafka/support/proxy.ts';
import { slotsOf } from '../tests/kafka/support/rules.ts';
import { TOPICS } from './kafka/messages.ts';
import { writeResult } from './result.ts';
import { median } from './statistics.ts';
import { table } from './table.ts';

interface Variant {
  readonly name: string;
  /** 0: without the filter. */
  readonly rules: number;
  /** The broker's port, as this variant's clients know it. */
  readonly brokerPort: number;
  readonly proxyPort: number;
}

interface Load {
  readonly requests: number;
  readonly rate: number;
  readonly mibPerSecond: number;
  readonly refused: number;
  readonly p50Us: number;
  readonly p99Us: number;
  readonly cpuUs: number;
}

const rounds = Number(process.argv[2] ?? '15');
const runMs = Number(process.argv[3] ?? '1000');
const BROKER_PORT = 9092;
const CONNECTIONS = 500;
const EDITS = 40;
const variant = (name: string, rules: number, index: number): Variant => ({
  name,
  rules,
  brokerPort: 9100 + index,
  proxyPort: 15_000 + index,
});
const plain = variant('TCP proxy', 0, 0);
const one = variant('1 rule', 1, 1);
const hundred = variant('100 rules', 100, 2);
const tenThousand = variant('10,000 rules', 10_000, 3);
const variants = [plain, one, hundred, tenThousand];
/** Connections and requests in flight of each kind of load. */
const loads = { 'one by one': [1, 1], produce: [4, 8], bulk: [2, 4], consume: [2, 2] } as const;
type Mode = keyof typeof loads;
const modes = Object.keys(loads) as Mode[];

const network = makeNetwork('kbench');
const broker = await startBroker({ namespace: network.server, address: network.serverAddress });
const proxy = await startKafkaProxy(network.proxy);
try {
  for (const { brokerPort, proxyPort } of variants) {
    network.redirect(brokerPort, proxyPort);
    // Every variant has a port of its own, and all lead to the one broker.
    const nat = ['-t', 'nat', '-A', 'PREROUTING', '-p', 'tcp', '--dport', `${brokerPort}`];
    inside(network.server, 'iptables', '-w', ...nat, '-j', 'REDIRECT', '--to-ports', `${BROKER_PORT}`);
  }
  write(TOPICS.small, 'x'.repeat(1_000));
  for (let i = 0; i < 32; i++) write(TOPICS.large, 'x'.repeat(64_000));

  const [plainKiB] = await memory(plain, () => proxy.setPlain({ id: 'plain', port: plain.proxyPort }));
  const [filterKiB, vmMiB] = await memory(one, () => proxy.setClasses([classOf(one)]));
  await proxy.setClasses([classOf(hundred), classOf(tenThousand)]);

  const results = new Map<string, Load[]>();
  for (let round = 0; round <= rounds; round++) {
    for (const mode of modes) {
      // Each begins a round as often as the others, after the load before it.
      const first = round % variants.length;
      for (const variant of [...variants.slice(first), ...variants.slice(0, first)]) {
        const load = await drive(variant, mode);
        if (load.refused > 0) throw new Error(`${variant.name}: ${load.refused} requests were refused`);
        // The first round warms broker and proxy.
        if (round > 0) results.set(key(variant, mode), [...(results.get(key(variant, mode)) ?? []), load]);
      }
    }
  }

  const figures: Record<string, { value: number; unit: string; better: 'higher' | 'lower' }> = {};
  for (const mode of modes) {
    const beside = results.get(key(plain, mode)) ?? [];
    const rows = variants.map((variant) => {
      const own = results.get(key(variant, mode)) ?? [];
      const ratio = median(own.map(({ rate }, index) => rate / (beside[index]?.rate ?? Number.NaN)));
      const added = median(own.map(({ p50Us }, index) => p50Us - (beside[index]?.p50Us ?? Number.NaN)));
      figures[`${mode} ${variant.name}, of TCP proxy`] = {
        value: ratio.median,
        unit: 'ratio',
        better: 'higher',
      };
      figures[`${mode} ${variant.name}, added p50`] = { value: added.median, unit: 'us', better: 'lower' };
      const middle = (of: (load: Load) => number): number => median(own.map(of)).median;
      return [
        variant.name,
        middle(({ rate }) => rate).toFixed(0),
        middle(({ mibPerSecond }) => mibPerSecond).toFixed(1),
        `${ratio.median.toFixed(3)} [${ratio.low.toFixed(3)}, ${ratio.high.toFixed(3)}]`,
        middle(({ p50Us }) => p50Us).toFixed(0),
        `${added.median.toFixed(0)} [${added.low.toFixed(0)}, ${added.high.toFixed(0)}]`,
        middle(({ p99Us }) => p99Us).toFixed(0),
        middle(({ cpuUs }) => cpuUs).toFixed(0),
      ];
    });
    console.log(
      `\n${mode}: ${loads[mode][0]} connections, ${loads[mode][1]} requests in flight on each, ${rounds} rounds\n`,
    );
    console.log(
      table([
        ['', 'requests/s', 'MiB/s', 'of TCP proxy', 'p50 µs', 'added µs', 'p99 µs', 'Envoy CPU µs'],
        ...rows,
      ]),
    );
  }
  for (const edited of [one, tenThousand]) {
    const times = median(await editTimes(edited));
    figures[`edit in force, ${edited.name}`] = { value: times.median, unit: 'ms', better: 'lower' };
    console.log(
      `\nOf ${edited.name}, an edit reaches an open connection in ${times.median.toFixed(1)} ms [${times.low.toFixed(1)}, ${times.high.toFixed(1)}], ${EDITS} edits.`,
    );
  }
  console.log(
    `Envoy's memory: ${plainKiB.toFixed(1)} KiB a connection without the filter, ${filterKiB.toFixed(1)} with it, ${vmMiB.toFixed(1)} MiB for a worker's VM.`,
  );
  writeResult('kafka', figures);
} finally {
  await proxy.stop();
  await broker.stop();
  network.remove();
}

function key({ name }: Variant, mode: Mode): string {
  return `${name} ${mode}`;
}

/** Rules of which the last ones are those that count. */
function classOf({ rules, proxyPort }: Variant, open = true): KafkaClass {
  const others = Array.from({ length: rules - 1 }, (_, at) => `{topic: other-${at}}`);
  const last = open ? `{topic: "${TOPICS.small}"}, {topic: "${TOPICS.large}"}` : '{topic: closed}';
  return {
    id: classId(`rules-${rules}`),
    port: proxyPort,
    egress: null,
    ingress: slotsOf(`[${[...others, last].join(', ')}]`),
  };
}

function write(topic: string, record: string): void {
  const broker = `127.0.0.1:${BROKER_PORT}`;
  const [enter, ...words] = entering(network.server, 'kcat', '-b', broker, '-P', '-t', topic);
  const { status, stderr } = spawnSync(enter, words, { input: record, encoding: 'utf8' });
  if (status !== 0) throw new Error(`kcat: ${stderr}`);
}

async function drive({ brokerPort }: Variant, mode: Mode): Promise<Load> {
  const spent = cpuTicks();
  const [connections, depth] = loads[mode];
  const words = [network.serverAddress, brokerPort, mode, connections, depth, runMs].map(String);
  const load = JSON.parse(await client('driver.ts', words)) as Omit<Load, 'cpuUs'>;
  // A tick is 10 ms (USER_HZ is 100 on x86-64).
  return { ...load, cpuUs: ((cpuTicks() - spent) * 10_000) / load.requests };
}

/** Runs a script of bench/kafka in the client's namespace and gives what it prints. */
async function client(script: string, words: readonly string[]): Promise<string> {
  const path = join(import.meta.dirname, 'kafka', script);
  const [enter, ...all] = entering(network.client, process.execPath, path, ...words);
  return (await promisify(execFile)(enter, all, { timeout: 60_000 })).stdout;
}

/** Starts a script that ends with its standard input. */
function start(script: string, words: readonly (string | number)[]): ChildProcess {
  const path = join(import.meta.dirname, 'kafka', script);
  const [enter, ...all] = entering(network.client, process.execPath, path, ...words.map(String));
  return spawn(enter, all, { stdio: ['pipe', 'pipe', 'inherit'] });
}

/** Envoy's memory: KiB for each connection that has made a request, and MiB for a listener and what it needs. */
async function memory(
  { brokerPort }: Variant,
  prepare: () => Promise<void>,
): Promise<readonly [connectionKiB: number, listenerMiB: number]> {
  const held: ChildProcess[] = [];
  const more = async (first: () => Promise<void>): Promise<number> => {
    const before = residentKiB();
    await first();
    const holder = start('holder.ts', [network.serverAddress, brokerPort, CONNECTIONS]);
    held.push(holder);
    if (holder.stdout === null) throw new Error('no output');
    await once(holder.stdout, 'data');
    return residentKiB() - before;
  };
  try {
    const [first, second] = [await more(prepare), await more(async () => undefined)];
    return [second / CONNECTIONS, (first - second) / 1024];
  } finally {
    for (const holder of held) await finish(holder);
  }
}

async function finish(child: ChildProcess): Promise<void> {
  const exit = once(child, 'exit');
  child.stdin?.end();
  await exit;
}

/** Milliseconds from giving new rules to the first answer under them, on a connection that is open. */
async function editTimes(variant: Variant): Promise<readonly number[]> {
  const prober = start('prober.ts', [network.serverAddress, variant.brokerPort]);
  if (prober.stdout === null) throw new Error('no output');
  const lines = createInterface({ input: prober.stdout })[Symbol.asyncIterator]();
  const times: number[] = [];
  await lines.next();
  for (let edit = 0; edit < EDITS; edit++) {
    const given = classOf(variant, edit % 2 === 1);
    const from = performance.timeOrigin + performance.now();
    const accepted = proxy.setRules(given);
    const { value, done } = await lines.next();
    if (done === true) throw new Error('the open connection ended');
    times.push(Number(value.split(' ')[1]) - from);
    await accepted;
  }
  await finish(prober);
  return times;
}

function cpuTicks(): number {
  const stat = readFileSync(`/proc/${proxy.pid}/stat`, 'utf8');
  const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
  return Number(fields[11]) + Number(fields[12]);
}

function residentKiB(): number {
  return Number(/VmRSS:\s+(\d+)/.exec(readFileSync(`/proc/${proxy.pid}/status`, 'utf8'))?.[1]);
}
