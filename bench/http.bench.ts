// What HTTP rules cost in Envoy, and how soon an edit of them is in force, in one interleaved run: our
// matcher tree beside the straightforward encodings (RBAC policies; a route per rule) and beside no rules.
// `node bench/http.bench.ts [ROUNDS] [SECONDS]`: the usual 15 rounds of a second take some 10 minutes, 2 take 3.

import { setTimeout as delay } from 'node:timers/promises';
import { benchClass, type Encoding, encode } from './http/encodings.ts';
import { pathOf, refusedPath, rule } from './http/rules.ts';
import { type Load, setScene } from './http/scene.ts';
import { type Figure, writeResult } from './result.ts';
import { median } from './statistics.ts';
import { table } from './table.ts';

const rounds = Number(process.argv[2] ?? '15');
const seconds = Number(process.argv[3] ?? '1');
const counts = [10, 100, 1_000, 10_000] as const;

interface Way {
  readonly encoding: Encoding;
  readonly count: number;
  readonly which: 'any' | 'first' | 'last' | 'refused';
  readonly port: number;
  readonly path: string;
  readonly loads: Load[];
}

const rulesOf = (count: number) => Array.from({ length: count }, (_, index) => rule(index));
const scene = await setScene();
const figures: Record<string, Figure> = {};
try {
  const ways: Way[] = [];
  const sizes: string[][] = [];
  const add = async (encoding: Encoding, count: number, ...positions: readonly Way['which'][]) => {
    const name = `${encoding}-${count}`;
    const sides = encoding === 'rbac' ? { egress: [] } : {};
    const port = await scene.addClass({ ...benchClass(name), ...sides });
    const resource = encode(encoding, name, rulesOf(count));
    const loadMs = await scene.push(resource);
    sizes.push([name, String(resource.bytes.length), loadMs.toFixed(1)]);
    for (const which of positions) {
      const path = which === 'refused' ? refusedPath : pathOf(which === 'last' ? count - 1 : 0);
      ways.push({ encoding, count, which, port, path, loads: [] });
    }
  };
  await add('none', 0, 'any');
  for (const count of counts) {
    await add('weir', count, 'first', 'last', 'refused');
    await add('rbac', count, 'last', 'refused');
    await add('routes', count, 'last', 'refused');
  }

  for (const { port, path } of ways) await scene.load(port, path, 1);
  for (let round = 0; round < rounds; round += 1) {
    // Each round begins elsewhere, so that none always runs on the warmer machine.
    const shift = (round * 7) % ways.length;
    for (const way of [...ways.slice(shift), ...ways.slice(0, shift)]) {
      way.loads.push(await scene.load(way.port, way.path, seconds));
    }
  }

  const middle = (way: Way, of: (load: Load) => number) => median(way.loads.map(of));
  const show = (way: Way, of: (load: Load) => number) => {
    const { median: value, low, high } = middle(way, of);
    return `${value.toFixed(0)} [${low.toFixed(0)}, ${high.toFixed(0)}]`;
  };
  console.log(`wrk, 16 keep-alive connections, ${rounds} rounds of ${seconds} s; median [95 % interval]`);
  console.log(
    table([
      ['encoding', 'rules', 'request', 'requests/s', 'p50 µs', 'p99 µs', 'Envoy µs/request'],
      ...ways.map((way) => [
        way.encoding,
        String(way.count),
        way.which,
        show(way, ({ rate }) => rate),
        show(way, ({ p50Us }) => p50Us),
        show(way, ({ p99Us }) => p99Us),
        show(way, ({ cpuUs }) => cpuUs),
      ]),
    ]),
  );
  console.log(table([['configuration', 'bytes', 'ms to load'], ...sizes]));

  const weir = (count: number, which: Way['which']) =>
    ways.find((way) => way.encoding === 'weir' && way.count === count && way.which === which)?.loads ?? [];
  const small = weir(10, 'last');
  figures['requests/s with 10,000 rules of those with 10'] = {
    value: median(weir(10_000, 'last').map(({ rate }, round) => rate / (small[round]?.rate ?? Number.NaN)))
      .median,
    unit: 'ratio',
    better: 'higher',
  };

  // Edits, interleaved as well.
  const edited = ways.filter(({ encoding, which }) => encoding !== 'none' && which === 'refused');
  const took = new Map(edited.map((way) => [way, [] as Effect[]]));
  for (let edit = 0; edit < rounds; edit += 1) {
    for (const way of edited) took.get(way)?.push(await effect(way, edit));
  }
  const showMs = (values: readonly number[]) => {
    const { median: value, low, high } = median(values);
    return `${value.toFixed(1)} [${low.toFixed(1)}, ${high.toFixed(1)}]`;
  };
  console.log(`one more rule, to the first other answer on an open connection, ${rounds} edits; ms`);
  console.log(
    table([
      ['encoding', 'rules', 'in effect', 'of that to compile', 'accepted by Envoy'],
      ...edited.map((way) => {
        const times = took.get(way) ?? [];
        return [
          way.encoding,
          String(way.count),
          showMs(times.map(({ effectMs }) => effectMs)),
          showMs(times.map(({ encodeMs }) => encodeMs)),
          showMs(times.map(({ acceptedMs }) => acceptedMs)),
        ];
      }),
    ]),
  );
  for (const [way, times] of took) {
    if (way.encoding !== 'weir') continue;
    const { median: value } = median(times.map(({ effectMs }) => effectMs));
    figures[`effect of one edit of ${way.count} rules`] = { value, unit: 'ms', better: 'lower' };
  }

  for (const way of edited.filter(({ encoding, count }) => encoding === 'weir' && count >= 1_000)) {
    const running = scene.load(way.port, pathOf(0), way.count === 1_000 ? 5 : 30);
    for (let edit = 0; edit < 100; edit += 1) await scene.push(encoded(way, `/busy/${edit}`));
    const { failed, rate } = await running;
    console.log(`100 edits of ${way.count} rules under ${rate.toFixed(0)} requests/s: ${failed} failed`);
    figures[`failed requests during 100 edits of ${way.count} rules`] = {
      value: failed,
      unit: 'requests',
      better: 'lower',
    };
  }
  for (const way of edited.filter(({ encoding, count }) => encoding === 'weir' && count <= 1_000)) {
    const { lastMs, failed, grownKiB } = await storm(way);
    console.log(
      `1,000 edits of ${way.count} rules in 10 s under load: the last in effect after ${lastMs.toFixed(1)} ms, ${failed} failed, Envoy grew by ${grownKiB} KiB in the second half`,
    );
    figures[`last of 1,000 edits of ${way.count} rules`] = { value: lastMs, unit: 'ms', better: 'lower' };
  }
} finally {
  await scene.strike();
}
writeResult('http', figures);

/** The way's rules and one more, which allows `path`. */
function encoded({ encoding, count }: Way, path: string) {
  const extra = { ...rule(0), id: `extra${path}` as ReturnType<typeof rule>['id'], path };
  return encode(encoding, `${encoding}-${count}`, [...rulesOf(count), extra]);
}

interface Effect {
  /** From the new rules to the first other answer. */
  readonly effectMs: number;
  readonly encodeMs: number;
  readonly acceptedMs: number;
}

/** How long an edit takes to its effect on a connection that is open and asks all the time. */
async function effect(way: Way, edit: number): Promise<Effect> {
  const path = `/edited/${edit}`;
  const probe = await asks(way.port, path);
  if (await probe.allowed()) throw new Error('allowed before the edit');
  const since = performance.now();
  const resource = encoded(way, path);
  const encodeMs = performance.now() - since;
  const pushed = scene.push(resource);
  while (!(await probe.allowed()));
  const effectMs = performance.now() - since;
  const acceptedMs = await pushed;
  await probe.close();
  return { effectMs, encodeMs, acceptedMs };
}

/** A thousand edits in ten seconds under keep-alive load. */
async function storm(way: Way) {
  const [count, spanMs] = [1_000, 10_000];
  const running = scene.load(way.port, pathOf(0), spanMs / 1_000 + 1);
  const probe = await asks(way.port, `/storm/${count - 1}`);
  const since = performance.now();
  let middleKiB = 0;
  for (let edit = 0; edit < count; edit += 1) {
    await delay(Math.max(0, since + (edit * spanMs) / count - performance.now()));
    if (edit === count / 2) middleKiB = scene.residentKiB();
    scene.send(encoded(way, `/storm/${edit}`));
  }
  const sent = performance.now();
  while (!(await probe.allowed()));
  const lastMs = performance.now() - sent;
  await probe.close();
  const { failed } = await running;
  return { lastMs, failed, grownKiB: scene.residentKiB() - middleKiB };
}

async function asks(port: number, path: string) {
  const connection = await scene.open(port);
  return {
    close: connection.close,
    async allowed(): Promise<boolean> {
      await connection.send(`GET ${path} HTTP/1.1\r\nHost: s\r\n\r\n`);
      const { text } = await connection.receive('(denied\r\n|landed\n)$', 30_000);
      return text.startsWith('HTTP/1.1 200');
    },
  };
}
