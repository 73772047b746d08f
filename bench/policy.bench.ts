// The policy engine on a cluster's worth of policy: `make bench-policy`. Data come from shared/scale beside the
// repository; the README there has what Cilium's own engine takes for the same.
import { spawnSync } from 'node:child_process';
import { existsSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { join, resolve } from 'node:path';
import {
  createEngine,
  createFileParser,
  type DirectionPolicy,
  defaultEngineOptions,
  type Engine,
  type EngineChange,
  type EngineOptions,
  type EngineState,
  type EngineUpdate,
  type Identity,
  identity,
  type TableId,
} from '@weir/l7-policy';
import { temporaryFolder } from '../tests/run-name.ts';
import { type Figure, writeResult } from './result.ts';
import { table } from './table.ts';

interface Scenario {
  readonly name: string;
  readonly local: number;
  readonly identities: number;
}

const scenarios: readonly Scenario[] = [
  { name: '110 local', local: 110, identities: 700 },
  { name: '1,354 local', local: 1354, identities: 700 },
  { name: '110 local, 10,000 identities', local: 110, identities: 10_000 },
];

/** What Cilium 1.20.2's own engine takes: shared/scale/README.md. Milliseconds, median and p99; MiB. */
const cilium: Readonly<Record<string, CiliumFigures>> = {
  '110 local': {
    parse: [159, 234],
    cold: [340, 418],
    events: { 'identity-add': [1.5, 7.3], 'identity-delete': [0.96, 5.6], 'policy-edit': [3.7, 51] },
    clusterwide: [244, 343],
    entries: 203_437,
    heapMiB: 32,
  },
  '1,354 local': {
    cold: [2_942, 3_855],
    events: { 'identity-add': [14.8, 52], 'identity-delete': [10.5, 42], 'policy-edit': [4.4, 481] },
    clusterwide: [2_255, 3_477],
    entries: 2_433_506,
    heapMiB: 306,
  },
  '110 local, 10,000 identities': {
    cold: [4_248, 5_341],
    events: { 'identity-add': [3.2, 14], 'identity-delete': [2.5, 13], 'policy-edit': [27, 680] },
    clusterwide: [2_128, 2_567],
    entries: 2_684_933,
    heapMiB: 260,
  },
};

interface CiliumFigures {
  readonly parse?: Pair;
  readonly cold: Pair;
  readonly events: Readonly<Record<string, Pair>>;
  readonly clusterwide: Pair;
  readonly entries: number;
  readonly heapMiB: number;
}

type Pair = readonly [median: number, p99: number];

/** What a run of one scenario reports; times are milliseconds, heap is MiB. */
interface Report {
  readonly name: string;
  readonly subjects: number;
  readonly directions: number;
  readonly tables: number;
  /** Entries of all maps of policy: subjects, peers and tables. */
  readonly entries: number;
  readonly mostEntries: number;
  readonly heapMiB: number;
  readonly times: Readonly<Record<string, readonly number[]>>;
  readonly cpuMs: Readonly<Record<string, number>>;
}

const root = resolve(import.meta.dirname, '..');
const [mode, wanted] = process.argv.slice(2);
/** After how many events the state is compared with a fresh computation, which takes longer than they do. */
const compareEvery = Number(process.env['WEIR_BENCH_COMPARE_EVERY'] ?? '200');
if (mode === '--scenario') {
  const scenario = scenarios.find((item) => item.name === wanted);
  if (scenario === undefined) throw new Error(`unknown scenario ${wanted}`);
  process.stdout.write(JSON.stringify(runScenario(scenario)));
} else {
  const reports = scenarios
    .filter((scenario) => mode === undefined || scenario.name.startsWith(mode))
    .map((scenario): Report => {
      const child = spawnSync(
        process.execPath,
        ['--expose-gc', import.meta.filename, '--scenario', scenario.name],
        { encoding: 'utf8', stdio: ['ignore', 'pipe', 'inherit'], maxBuffer: 1 << 28 },
      );
      if (child.status !== 0) throw new Error(`scenario "${scenario.name}" failed`);
      return JSON.parse(child.stdout);
    });
  print(reports);
}

function findGenerator(): string {
  for (const place of ['../shared/scale/gen.py', '../../shared/scale/gen.py']) {
    const path = resolve(root, place);
    if (existsSync(path)) return path;
  }
  throw new Error('bench/policy needs ../shared/scale/gen.py beside the repository; it is not there');
}

interface Data {
  readonly identities: readonly { readonly id: number; readonly labels: readonly string[] }[];
  readonly endpoints: readonly { name: string; identity: number; ip: string; local: boolean }[];
  readonly files: ReadonlyMap<string, string>;
  readonly events: readonly ScaleEvent[];
}

type ScaleObject = {
  readonly kind: string;
  readonly metadata: { readonly name: string; readonly namespace?: string };
};

type ScaleEvent =
  | {
      readonly op: 'identity-add' | 'identity-delete';
      readonly id: number;
      readonly labels: readonly string[];
    }
  | {
      readonly op: 'policy-edit' | 'policy-restore' | 'clusterwide-add' | 'clusterwide-delete';
      readonly object: ScaleObject;
    };

function generate({ local, identities }: Scenario): Data {
  const out = temporaryFolder('scale');
  try {
    const args = ['--out', out, '--local', String(local), '--identities', String(identities)];
    const made = spawnSync('python3', [findGenerator(), ...args], { encoding: 'utf8' });
    if (made.status !== 0) throw new Error(`gen.py failed: ${made.stderr}`);
    const lines = (name: string) =>
      readFileSync(join(out, name), 'utf8')
        .trimEnd()
        .split('\n')
        .map((line) => JSON.parse(line));
    const policies = join(out, 'policies');
    return {
      identities: lines('identities.jsonl'),
      endpoints: lines('endpoints.jsonl'),
      events: lines('events.jsonl'),
      files: new Map(
        readdirSync(policies)
          .sort()
          .map((file) => [file, readFileSync(join(policies, file), 'utf8')]),
      ),
    };
  } finally {
    rmSync(out, { recursive: true, force: true });
  }
}

function engineOptions(data: Data): EngineOptions {
  // Numbers as the data have them: by labels for pods, by prefix for the rest.
  const numbers = new Map<string, Identity>();
  for (const { id, labels } of data.identities) {
    const cidr = labels.find((label) => label.startsWith('cidr:'));
    numbers.set(cidr ?? [...labels].sort().join('\n'), identity(id));
  }
  let next = 0x0180_0000;
  return {
    ...defaultEngineOptions(),
    allocator: {
      allocate(labels) {
        const key = labels.find((label) => label.startsWith('cidr:')) ?? labels.join('\n');
        let number = numbers.get(key);
        if (number === undefined) {
          number = identity(next++);
          numbers.set(key, number);
        }
        return number;
      },
      release() {},
    },
  };
}

function newEngine(data: Data): Engine {
  return createEngine(engineOptions(data));
}

function facts(data: Data): EngineChange[] {
  const labelsOf = new Map(data.identities.map(({ id, labels }) => [id, labels]));
  return [
    ...data.identities.map(({ id, labels }): EngineChange => {
      return { kind: 'set-identity', identity: identity(id), labels };
    }),
    ...data.endpoints
      .filter((endpoint) => endpoint.local)
      .map(
        ({ name, identity: number, ip }): EngineChange => ({
          kind: 'set-endpoint',
          endpoint: {
            id: name,
            labels: labelsOf.get(number) ?? [],
            addresses: [ip],
            namedPorts: [],
            local: true,
          },
        }),
      ),
  ];
}

function runScenario(scenario: Scenario): Report {
  const data = generate(scenario);
  const times: Record<string, number[]> = {};
  const cpuMs: Record<string, number> = {};
  // Measured first: nothing else has been built yet.
  const heapMiB = measureHeap(data);
  const timed = <T>(name: string, work: () => T): T => {
    const cpu = process.cpuUsage();
    const start = performance.now();
    const result = work();
    const spent = performance.now() - start;
    times[name] = [...(times[name] ?? []), spent];
    const used = process.cpuUsage(cpu);
    cpuMs[name] = (cpuMs[name] ?? 0) + (used.user + used.system) / 1000;
    return result;
  };
  const load = [...data.files].map(([file, text]): EngineChange => ({ kind: 'set-file', file, text }));
  for (let round = 0; round < 5; round++) {
    const parse = createFileParser(engineOptions(data));
    const parsed = timed('parse', () =>
      [...data.files].map(([file, text]): EngineChange => {
        return { kind: 'set-parsed-file', file, parsed: parse(file, text) };
      }),
    );
    const engine = newEngine(data);
    engine.apply(facts(data));
    timed('cold', () => touch(engine.apply(parsed)));
  }

  const engine = newEngine(data);
  engine.apply(facts(data));
  engine.apply(load);

  const fileOf = new Map<string, string>();
  for (const [file, text] of data.files) {
    const name = /^ {2}name: "(.*)"$/m.exec(text)?.[1] ?? '';
    const namespace = /^ {2}namespace: "(.*)"$/m.exec(text)?.[1] ?? '';
    fileOf.set(`${namespace}/${name}`, file);
  }
  let seen = 0;
  data.events.forEach((event, at) => {
    const change = eventChange(event, fileOf);
    const update = timed(event.op, () => {
      const applied = engine.apply([change]);
      seen += touch(applied);
      return applied;
    });
    const errors = update.problems.filter((problem) => problem.severity === 'error');
    if (errors.length > 0) throw new Error(JSON.stringify(errors[0]));
    if (at % compareEvery === 7 % compareEvery)
      compareFresh(engine.state(), data, data.events.slice(0, at + 1), fileOf);
  });
  if (seen === 0) throw new Error('the events changed nothing');

  const state = engine.state();
  return {
    name: scenario.name,
    subjects: state.subjects.size,
    ...countEntries(state),
    heapMiB,
    times,
    cpuMs,
  };
}

/** What the kernel's maps hold for a state. */
function countEntries({ subjects, directions }: EngineState) {
  const tables = new Map<TableId, number>();
  const peers: number[] = [];
  for (const policy of directions.values()) {
    let count = 1;
    tables.set(policy.any.id, policy.any.entries.length);
    policy.forEachPeer((_, { id, entries }) => {
      count += 1;
      tables.set(id, entries.length);
    });
    peers.push(count);
  }
  const sum = (counts: Iterable<number>) => [...counts].reduce((total, count) => total + count, 0);
  return {
    directions: directions.size,
    tables: tables.size,
    entries: subjects.size + sum(peers) + sum(tables.values()),
    mostEntries: Math.max(...peers),
  };
}

/** What an engine holds after loading everything; the documents' texts are not counted. */
function measureHeap(data: Data): number {
  const used = () => {
    global.gc?.();
    const { heapUsed, arrayBuffers } = process.memoryUsage();
    return heapUsed + arrayBuffers;
  };
  const load = [...data.files].map(([file, text]): EngineChange => ({ kind: 'set-file', file, text }));
  const before = used();
  const engine = newEngine(data);
  engine.apply(facts(data));
  engine.apply(load);
  const held = (used() - before) / 2 ** 20;
  if (engine.problems().some((problem) => problem.severity === 'error'))
    throw new Error('a document was refused');
  return held;
}

function eventChange(event: ScaleEvent, fileOf: Map<string, string>): EngineChange {
  switch (event.op) {
    case 'identity-add':
      return { kind: 'set-identity', identity: identity(event.id), labels: event.labels };
    case 'identity-delete':
      return { kind: 'remove-identity', identity: identity(event.id) };
    case 'clusterwide-delete':
      return { kind: 'remove-file', file: objectFile(event.object, fileOf) };
    default:
      return { kind: 'set-file', file: objectFile(event.object, fileOf), text: JSON.stringify(event.object) };
  }
}

function objectFile({ metadata }: ScaleObject, fileOf: Map<string, string>): string {
  const name = `${metadata.namespace ?? ''}/${metadata.name}`;
  return fileOf.get(name) ?? `added/${name}`;
}

/** Reads everything that the kernel's maps need of a delta, so that nothing is put off. */
function touch({ delta: { subjects, directions } }: EngineUpdate): number {
  let seen = subjects.changed.length;
  for (const policy of directions.added) {
    policy.forEachPeer((_, { entries }) => {
      seen += entries.length;
    });
  }
  for (const { moved } of directions.changed) seen += moved.length;
  return seen;
}

/** An engine that is given everything at once must stand where the incremental one stands. */
function compareFresh(
  state: EngineState,
  data: Data,
  events: readonly ScaleEvent[],
  fileOf: Map<string, string>,
): void {
  const fresh = newEngine(data);
  const last = new Map<string, EngineChange>();
  for (const event of events) {
    const change = eventChange(event, fileOf);
    const key = 'file' in change ? change.file : 'identity' in change ? String(change.identity) : '';
    last.delete(key);
    last.set(key, change);
  }
  const changes = [...last.values()];
  const files = [...data.files]
    .filter(([file]) => !last.has(file))
    .map(([file, text]): EngineChange => ({ kind: 'set-file', file, text }));
  fresh.apply([...changes.filter((change) => change.kind !== 'remove-identity'), ...files, ...facts(data)]);
  const expected = fresh.state();
  for (const [key, policy] of expected.subjects) {
    const found = state.subjects.get(key);
    if (found?.ingress !== policy.ingress || found.egress !== policy.egress) {
      throw new Error(`subject ${key} differs from a fresh computation`);
    }
  }
  for (const [id, policy] of expected.directions) {
    const found = state.directions.get(id);
    if (found === undefined || text(found) !== text(policy)) {
      throw new Error(`direction policy ${id} differs from a fresh computation`);
    }
  }
  const same = (a: ReadonlyMap<string, unknown>, b: ReadonlyMap<string, unknown>) =>
    a.size === b.size && [...a.keys()].every((key) => b.has(key));
  if (!same(state.subjects, expected.subjects) || !same(state.directions, expected.directions)) {
    throw new Error('subjects or direction policies differ from a fresh computation');
  }
  if (
    !same(state.classes, expected.classes) ||
    !same(state.slots, expected.slots) ||
    !same(state.sets, expected.sets)
  ) {
    throw new Error('classes, slots or sets differ from a fresh computation');
  }
}

/** A direction policy by its peers' tables. */
function text(policy: DirectionPolicy): string {
  const lines = [`0 ${policy.any.id}`];
  policy.forEachPeer((peer, { id }) => void lines.push(`${peer} ${id}`));
  return lines.sort().join('\n');
}

function quantile(values: readonly number[], q: number): number {
  const sorted = [...values].sort((a, b) => a - b);
  return sorted[Math.min(sorted.length - 1, Math.ceil(q * sorted.length) - 1)] ?? 0;
}

function ciliumOf(scenario: string, row: string): Pair | undefined {
  const figures = cilium[scenario];
  if (row === 'cold') return figures?.cold;
  if (row === 'parse') return figures?.parse;
  if (row.startsWith('clusterwide')) return row === 'clusterwide-add' ? figures?.clusterwide : undefined;
  return figures?.events[row];
}

function print(reports: readonly Report[]): void {
  const figures: Record<string, Figure> = {};
  for (const { name, times, cpuMs, ...report } of reports) {
    const rows = [['milliseconds', 'p50', 'p99', "Cilium's p50", 'p99', 'CPU each', 'n']];
    for (const [row, values] of Object.entries(times)) {
      const [p50, p99] = [quantile(values, 0.5), quantile(values, 0.99)];
      const theirs = ciliumOf(name, row)?.map(String) ?? ['', ''];
      const cpu = (cpuMs[row] ?? 0) / values.length;
      rows.push([row, p50.toFixed(2), p99.toFixed(2), ...theirs, cpu.toFixed(2), String(values.length)]);
      figures[`${name}: ${row} p50`] = { value: p50, unit: 'ms', better: 'lower' };
      figures[`${name}: ${row} p99`] = { value: p99, unit: 'ms', better: 'lower' };
    }
    const { subjects, directions, tables, entries, mostEntries, heapMiB } = report;
    const theirs = cilium[name];
    console.log(`\n${name}: ${subjects} subjects, ${directions} direction policies, ${tables} tables\n`);
    console.log(table(rows));
    console.log(
      `\nmap entries ${entries} (${(entries / (theirs?.entries ?? Number.NaN)).toFixed(2)} of Cilium's ` +
        `${theirs?.entries}), most of one direction policy ${mostEntries}; ` +
        `heap ${heapMiB.toFixed(1)} MiB (Cilium's ${theirs?.heapMiB})`,
    );
    figures[`${name}: map entries`] = { value: entries, unit: 'entries', better: 'lower' };
    figures[`${name}: heap`] = { value: heapMiB, unit: 'MiB', better: 'lower' };
  }
  writeResult('policy', figures);
}
