// What HTTP rules cost in Envoy, and how soon an edit of them is in force, in one interleaved run: our
// matcher tree beside the straightforward encodings (RBAC policies; a route per rule) and beside no rules.
// `node bench/http.bench.ts [ROUNDS] [SECONDS]`

import { benchClass, compiled, type Encoding, encode } from './http/encodings.ts';
import { pathOf, refusedPath, rule } from './http/rules.ts';
import { type Load, setScene } from './http/scene.ts';
import { type Figure, writeResult } from './result.ts';
import { median } from './statistics.ts';
import { table } from './table.ts';

const rounds = Number(process.argv[2] ?? '15');
const seconds = Number(process.argv[3] ?? '1');
const counts = [10, 100, 1_000, 10_000] as const;
const edits = 15;

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

  const effects: string[][] = [];
  for (const count of [10, 1_000, 10_000]) {
    const way = ways.find(
      (each) => each.encoding === 'weir' && each.count === count && each.which === 'first',
    );
    if (way === undefined) continue;
    const times: number[] = [];
    for (let edit = 0; edit < edits; edit += 1) times.push(await effect(way.port, count, edit));
    const { median: value, low, high } = median(times);
    effects.push([String(count), `${value.toFixed(1)} [${low.toFixed(1)}, ${high.toFixed(1)}]`]);
    figures[`effect of one edit of ${count} rules`] = { value, unit: 'ms', better: 'lower' };
  }
  console.log(`from new rules to the first other answer on an open connection, ${edits} edits`);
  console.log(table([['rules', 'ms']].concat(effects)));

  const loaded = ways.find(
    ({ encoding, count, which }) => encoding === 'weir' && count === 100 && which === 'first',
  );
  if (loaded !== undefined) {
    const running = scene.load(loaded.port, loaded.path, 6);
    for (let edit = 0; edit < 100; edit += 1) await scene.push(edited(100, edit));
    const { failed, rate } = await running;
    console.log(`100 edits under ${rate.toFixed(0)} requests/s: ${failed} failed`);
    figures['failed requests during 100 edits'] = { value: failed, unit: 'requests', better: 'lower' };
  }
} finally {
  await scene.strike();
}
writeResult('http', figures);

/** The class's rules, one more of which allows `/edited/EDIT`. */
function edited(count: number, edit: number) {
  const extra = {
    ...rule(0),
    id: `${rule(0).id}-${edit}` as ReturnType<typeof rule>['id'],
    path: `/edited/${edit}`,
  };
  return compiled(`weir-${count}`, [...rulesOf(count), extra]);
}

/** Milliseconds from the edit to its effect on a connection that is open and asks all the time. */
async function effect(port: number, count: number, edit: number): Promise<number> {
  const connection = await scene.open(port);
  const request = `GET /edited/${edit} HTTP/1.1\r\nHost: s\r\n\r\n`;
  const ask = async () => {
    await connection.send(request);
    const { text } = await connection.receive('(denied\r\n|landed\n)$');
    return text.startsWith('HTTP/1.1 200');
  };
  if (await ask()) throw new Error('allowed before the edit');
  const since = performance.now();
  const pushed = scene.push(edited(count, edit));
  while (!(await ask()));
  const took = performance.now() - since;
  await pushed;
  await connection.close();
  return took;
}
