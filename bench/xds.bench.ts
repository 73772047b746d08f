// xds-server beside go-control-plane: `make bench-xds`. Same resources, same driver (Go, bench/xds-go), one run,
// the servers taking turns. `node bench/xds.bench.ts soak` runs ten minutes of churn at 200 streams instead.
import { spawn, spawnSync } from 'node:child_process';
import { rmSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { endingWithUs } from '@weir/agent';
import { temporaryFolder } from '../tests/run-name.ts';
import { type Figure, writeResult } from './result.ts';
import { table } from './table.ts';

interface Order {
  readonly scenario: 'push' | 'reconnect' | 'soak' | 'poison';
  readonly delta: boolean;
  readonly streams: number;
  readonly resources: number;
  readonly bytes: number;
  readonly rounds: number;
  readonly forNanoseconds: number;
  /** Of each of the driver's connections, in bytes; left out: gRPC's own choice. */
  readonly readBuffer?: number;
}

type Figures = Readonly<Record<string, number>>;

const isSoak = process.argv[2] === 'soak';
const root = resolve(import.meta.dirname, '..');
const driver = join(root, 'build/xds-bench');
const servers = {
  weir: (socket: string, control: string) => [
    process.execPath,
    // As `weir xds serve` is run.
    '--min-semi-space-size=16',
    ...(isSoak ? ['--expose-gc'] : []),
    join(root, 'bench/xds/server-under-test.ts'),
    socket,
    control,
  ],
  linear: (socket: string, control: string) => [driver, 'serve', 'linear', socket, control],
  snapshot: (socket: string, control: string) => [driver, 'serve', 'snapshot', socket, control],
} satisfies Record<string, (socket: string, control: string) => readonly [string, ...string[]]>;
type ServerName = keyof typeof servers;
const names: readonly ServerName[] = ['weir', 'linear', 'snapshot'];

const {
  XDS_BENCH_SECONDS: secondsWanted = '3',
  // Each gives one first load.
  XDS_BENCH_ROUNDS: roundsWanted = '5',
  XDS_SOAK_SECONDS: soakSeconds = '600',
} = process.env;
const seconds = Number(secondsWanted);
const repeats = Number(roundsWanted);

const many = { resources: 10_000, bytes: 1_000 };
const small = { resources: 1, bytes: 10_000, rounds: 10, forNanoseconds: seconds * 1e9 };
const scenarios: readonly {
  readonly title: string;
  readonly order: Order;
  readonly show: readonly string[];
  /** Left out: all. */
  readonly servers?: readonly ServerName[];
}[] = [
  ...[true, false].flatMap((delta) => [
    ...[1, 200, 1_000].map((streams) => ({
      title: `${delta ? 'delta' : 'sotw'}, ${streams} streams, 10 kB`,
      order: { scenario: 'push', delta, streams, ...small } as const,
      show: [
        'firstLoadMs',
        'firstLoadCpuMs',
        'firstLoadDriverCpuMs',
        'pushesPerSecond',
        'cpuMicrosPerPush',
        'allHaveItMs',
        'kibibytesPerStream',
      ],
    })),
    {
      // A message of 10 MB read in pieces of 32 kB, gRPC's choice, would measure the driver.
      title: `${delta ? 'delta' : 'sotw'}, one change among 10,000`,
      order: { scenario: 'push', delta, streams: 1, ...small, ...many, readBuffer: 256 * 1024 } as const,
      show: ['firstLoadMs', 'allHaveItMs', 'cpuMicrosPerPush', 'driverCpuMicrosPerPush', 'bytesPerPush'],
    },
  ]),
  {
    title: 'delta, 200 streams come back with 10,000 versions',
    order: { scenario: 'reconnect', delta: true, streams: 200, ...small, ...many },
    show: ['stormMs', 'stormCpuMs', 'stormBytes', 'stormPeakMiB'],
  },
  {
    // go-control-plane sends the same response again and again.
    title: 'delta, 20 streams that refuse one of 1,000',
    order: { scenario: 'poison', delta: true, streams: 20, ...small, resources: 1_000, bytes: 1_000 },
    show: ['othersHaveItMs', 'culpritNamedMs'],
    servers: ['weir'],
  },
];
const better = (figure: string): Figure['better'] => (figure === 'pushesPerSecond' ? 'higher' : 'lower');

function build(): void {
  const run = spawnSync('go', ['build', '-o', driver, '.'], {
    cwd: join(root, 'bench/xds-go'),
    stdio: 'inherit',
  });
  if (run.status !== 0) throw new Error('the driver does not build; it needs Go (bench/xds-go/go.mod)');
}

/** One server, one driver, from nothing. */
async function measure(name: ServerName, order: Order): Promise<Figures> {
  const directory = temporaryFolder('bench-xds');
  const socket = join(directory, 'xds');
  const control = join(directory, 'control');
  const [command, ...args] = endingWithUs(...servers[name](socket, control));
  const server = spawn(command, args, { stdio: ['ignore', 'pipe', 'inherit'] });
  try {
    await new Promise((ready, fail) => {
      server.stdout.once('data', ready);
      server.once('exit', () => fail(new Error(`${name} ended before it was ready`)));
    });
    const [program, ...words] = endingWithUs(driver, 'drive', socket, control, JSON.stringify(order));
    const run = spawn(program, words, {
      stdio: ['ignore', 'pipe', 'inherit'],
    });
    let text = '';
    run.stdout.setEncoding('utf8').on('data', (part: string) => {
      text += part;
    });
    const status = await new Promise<number | null>((done) => run.once('exit', done));
    if (status !== 0) throw new Error(`the driver ended with ${status} at ${name}`);
    const found: Figures = JSON.parse(text);
    return found;
  } finally {
    if (server.exitCode === null && server.signalCode === null) {
      const gone = new Promise((done) => server.once('exit', done));
      server.kill('SIGKILL');
      await gone;
    }
    rmSync(directory, { recursive: true, force: true });
  }
}

function median(values: readonly number[]): number {
  const sorted = [...values].sort((a, b) => a - b);
  return sorted[Math.floor(sorted.length / 2)] ?? Number.NaN;
}

async function compare(): Promise<void> {
  const rows: string[][] = [['what', 'figure', ...names]];
  const figures: Record<string, Figure> = {};
  for (const { title, order, show, servers: measured = names } of scenarios) {
    const found: Record<ServerName, Figures[]> = { weir: [], linear: [], snapshot: [] };
    for (let round = 0; round < repeats; round += 1) {
      for (const name of measured) found[name].push(await measure(name, order));
    }
    for (const figure of show) {
      const values = names.map((name) => median(found[name].map((run) => run[figure] ?? Number.NaN)));
      rows.push([
        title,
        figure,
        ...values.map((value) => (Number.isNaN(value) ? '-' : value.toPrecision(4))),
      ]);
      names.forEach((name, index) => {
        const value = values[index] ?? Number.NaN;
        if (Number.isNaN(value)) return;
        figures[`${title}: ${figure}, ${name}`] = { value, unit: unitOf(figure), better: better(figure) };
      });
    }
    console.log(table([rows[0] ?? [], ...rows.slice(-show.length)]), '\n');
  }
  console.log(table(rows));
  writeResult('xds', figures);
}

function unitOf(figure: string): string {
  if (figure === 'pushesPerSecond') return '1/s';
  if (figure.includes('Micros')) return 'us';
  if (/bytes$/i.test(figure) || figure === 'bytesPerPush') return 'B';
  if (figure === 'kibibytesPerStream') return 'KiB';
  return figure === 'stormPeakMiB' ? 'MiB' : 'ms';
}

/** Ten minutes of churn: memory in the last third of the time beside that in the second. */
async function soak(): Promise<void> {
  const order: Order = {
    scenario: 'soak',
    delta: true,
    streams: 200,
    resources: 100,
    bytes: 10_000,
    rounds: 10,
    forNanoseconds: Number(soakSeconds) * 1e9,
  };
  const found = await measure('weir', order);
  console.log(
    table([
      ['figure', 'weir'],
      ...Object.entries(found).map(([name, value]) => [name, value.toPrecision(4)]),
    ]),
  );
  const unit = (name: string): string => (name.endsWith('MiB') ? 'MiB' : '');
  writeResult(
    'xds-soak',
    Object.fromEntries(
      Object.entries(found).map(([name, value]) => [name, { value, unit: unit(name), better: 'lower' }]),
    ),
  );
}

build();
if (isSoak) await soak();
else await compare();
