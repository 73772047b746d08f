// What a trap of the Kafka filter costs the other connections of its worker: from the request that traps until a new
// connection is answered, at 1 and 10,000 topic rules. `node bench/kafka-trap.bench.ts [ROUNDS]`
import { setTimeout as pause } from 'node:timers/promises';
import { classId } from '@weir/l7-policy';
import { makeNetwork } from '../tests/envoy-config/support/network.ts';
import { requestFrame, schemaOf } from '../tests/kafka/support/kafka-codec.ts';
import { startKafkaProxy } from '../tests/kafka/support/proxy.ts';
import { slotsOf } from '../tests/kafka/support/rules.ts';
import { trappingFilter } from '../tests/kafka/support/trapping-filter.ts';
import { startWirePeer } from '../tests/kafka/support/wire-peer-handle.ts';
import { writeResult } from './result.ts';
import { median } from './statistics.ts';
import { table } from './table.ts';

const rounds = Number(process.argv[2] ?? '10');
/** Longer than Envoy waits before it loads a filter once more. */
const APART_MS = 500;
const port = 9092;
const produce = (topic: string) =>
  requestFrame(schemaOf(0, 3), 3, 1, 'me', {
    TransactionalId: null,
    Acks: 1,
    TopicData: [{ Name: topic, PartitionData: [{ Index: 0, Records: null }] }],
  });

const network = makeNetwork('ktrap');
const [client, broker] = await Promise.all([startWirePeer(network.client), startWirePeer(network.server)]);
const proxy = await startKafkaProxy(network.proxy, 1, trappingFilter());
try {
  await broker.serve(port);
  network.redirect(port, 15_000);
  const figures: Record<string, { value: number; unit: string; better: 'lower' }> = {};
  const rows: string[][] = [];
  for (const rules of [1, 10_000]) {
    const others = Array.from({ length: rules - 1 }, (_, at) => `{topic: other-${at}}`);
    const ingress = slotsOf(`[${[...others, '{topic: orders}'].join(', ')}]`);
    const given = { id: classId('kafka'), port: 15_000, egress: null, ingress };
    if (rules === 1) await proxy.setClasses([given]);
    else await proxy.setRules(given);
    const [alone, again]: [number[], number[]] = [[], []];
    for (let round = 0; round < rounds; round++) {
      await pause(APART_MS);
      alone.push(await recovery());
      again.push(await recovery());
    }
    for (const [what, times] of [
      ['alone', alone],
      ['again at once', again],
    ] as const) {
      const { median: middle, low, high } = median(times);
      figures[`${what}, ${rules} rules`] = { value: middle, unit: 'ms', better: 'lower' };
      rows.push([`${rules}`, what, middle.toFixed(1), `[${low.toFixed(1)}, ${high.toFixed(1)}]`]);
    }
  }
  console.log(table([['rules', 'a trap', 'answered after ms', ''], ...rows]));
  writeResult('kafka-trap', figures);
} finally {
  await proxy.stop();
  await Promise.all([client.end(), broker.end()]);
  network.remove();
}

/** Milliseconds from a request that traps until one on a new connection is answered. */
async function recovery(): Promise<number> {
  await answered();
  const from = performance.now();
  await client.exchange(network.serverAddress, port, [produce('trap')], 1);
  await answered();
  return performance.now() - from;
}

async function answered(): Promise<void> {
  for (;;) {
    const { answers } = await client.exchange(network.serverAddress, port, [produce('orders')], 1);
    if (answers.length === 1) return;
  }
}
