import assert from 'node:assert/strict';
import { resolve } from 'node:path';
import { after, before, beforeEach, describe, test } from 'node:test';
import { type ClientProgram, startClientProgram } from './client-program.ts';
import { type ClientScene, openClient, startClientScene } from './client-scene.ts';

const REFUSED = 'TOPIC_AUTHORIZATION_FAILED';
const producerModes = ['plain', 'idempotent', 'transactional'];
const fast = ['-XX:+UseSerialGC', '-XX:TieredStopAtLevel=1'];

export interface ClientCases {
  /** The broker's release, and that of the Java clients. */
  readonly version: string;
  readonly consoleProducer: string;
  /** What the Java program's consumers can be with this release. */
  readonly javaConsumers: readonly ('classic' | 'consumer' | 'share')[];
}

/** Registers the tests of real clients against a broker of this release: docs/kafka.md has their outcomes. */
export function clientCases({ version, consoleProducer, javaConsumers }: ClientCases): void {
  let scene: ClientScene;
  before(async () => {
    scene = await startClientScene(version);
  });
  beforeEach(() => scene.allow('orders', 'bills'));
  after(() => scene?.stop());

  const besideThis = (file: string) => resolve(import.meta.dirname, file);
  programCases({
    name: 'kafkajs',
    command: () => [process.execPath, besideThis('kafkajs-program.ts')],
    consumers: ['classic'],
    // kafkajs asks for all topics of a producer or consumer at once, and takes one error for all of them.
    allOrNothing: true,
  });
  programCases({
    name: 'java',
    command: () => ['java', ...fast, '-cp', scene.classPath, besideThis('JavaProgram.java')],
    consumers: javaConsumers,
    allOrNothing: false,
  });
  const kcat = (...args: readonly string[]) => ['kcat', '-b', scene.bootstrap, '-u', ...args];
  commandCases({
    name: 'kcat',
    clientId: 'rdkafka',
    chunkBytes: 4096,
    producer: (topic) => kcat('-P', '-t', topic),
    consumer: (topic) => kcat('-C', '-t', topic),
    both: () => [...kcat('-o', 'beginning'), '-G', 'both', 'orders', 'secrets'],
    bothEnds: true,
    producerErrors: /Topic authorization failed/,
    consumerErrors: /Topic authorization failed/,
  });
  const java = (program: string, ...args: readonly string[]) => [
    ...['java', ...fast, '-cp', scene.classPath, program],
    ...['--bootstrap-server', scene.bootstrap, ...args],
  ];
  const consoleConsumer = 'org.apache.kafka.tools.consumer.ConsoleConsumer';
  commandCases({
    name: 'console',
    clientId: 'console-',
    chunkBytes: 0,
    producer: (topic) => java(consoleProducer, '--topic', topic),
    consumer: (topic) => java(consoleConsumer, '--from-beginning', '--topic', topic),
    both: () => java(consoleConsumer, '--from-beginning', '--include', 'orders|secrets'),
    bothEnds: false,
    // They log what went wrong, and our jars have no logger.
    producerErrors: /^/,
    consumerErrors: /Processed a total of/,
  });

  interface Program {
    readonly name: string;
    command(): readonly string[];
    readonly consumers: readonly string[];
    readonly allOrNothing: boolean;
  }

  function programCases({ name, command, consumers, allOrNothing }: Program): void {
    describe(name, () => {
      let program: ClientProgram;
      before(() => {
        program = startClientProgram(scene, command());
      });
      after(() => program?.end());

      for (const mode of producerModes) {
        test(`${mode} producer`, async () => {
          const value = (what: string) => `${name}-${mode}-${what}`;
          const produced = (what: string, ...topics: readonly string[]) =>
            program.produce(mode, value(what), ...topics);
          const answer = (outcomes: Readonly<Record<string, string>>) => {
            const words = Object.entries(outcomes).map(([topic, outcome]) => `${topic}=${outcome}`);
            const ok = Object.values(outcomes).every((outcome) => outcome === 'ok');
            return [
              ...words,
              ...(mode === 'transactional' ? [`transaction=${ok ? 'committed' : 'aborted'}`] : []),
            ].join(' ');
          };
          const beside = allOrNothing ? REFUSED : 'ok';

          assert.equal(await produced('allowed', 'orders'), answer({ orders: 'ok' }));
          assert.equal(await produced('refused', 'secrets'), answer({ secrets: REFUSED }));
          assert.equal(
            await produced('partly', 'orders', 'secrets'),
            answer({ orders: beside, secrets: REFUSED }),
          );
          await scene.allow('bills');
          assert.equal(await produced('revoked', 'orders'), answer({ orders: REFUSED }));
          if (mode !== 'transactional')
            assert.equal(
              await produced('both', 'orders', 'bills'),
              answer({ orders: REFUSED, bills: REFUSED }),
            );
          assert.equal(await produced('beside', 'bills'), answer({ bills: beside }));
          await scene.allow('orders', 'bills');
          assert.equal(await produced('again', 'orders'), answer({ orders: 'ok' }));

          assert.deepEqual(scene.records('secrets'), ['seed']);
          const partly = !allOrNothing && mode !== 'transactional' ? [value('partly')] : [];
          assert.deepEqual(
            scene.records('orders').filter((record) => record.startsWith(value(''))),
            [value('allowed'), ...partly, value('again')],
          );
        });
      }

      for (const mode of consumers) {
        test(`${mode} consumer`, async () => {
          /** What it meets from the beginning of the topics until this record. */
          const met = async (last: string): Promise<readonly string[]> => {
            const all: string[] = [];
            while (all.at(-1) !== last) all.push(await program.next());
            return all;
          };
          const first = async (...topics: readonly string[]) => {
            const opened = await program.consume(mode, ...topics);
            return opened === 'ok' ? program.next() : opened;
          };
          assert.equal(await first('orders'), 'orders:seed');
          await program.leave();
          assert.equal(await first('secrets'), REFUSED);
          await program.leave();

          assert.equal(await first('orders', 'secrets'), REFUSED);
          // The heartbeat of the newer protocols names all topics, and is refused whole, as brokers do.
          if (!allOrNothing && mode === 'classic') {
            const rest = new Set(await met('orders:seed'));
            rest.delete(REFUSED);
            assert.deepEqual([...rest], ['orders:seed']);
          } else if (!allOrNothing) assert.equal(await program.next(), REFUSED);
          await program.leave();

          assert.equal(await first('bills'), 'bills:seed');
          const [earlier, later] = [`${name}-${mode}-earlier`, `${name}-${mode}-later`];
          scene.write('bills', earlier);
          await met(`bills:${earlier}`);
          await scene.allow('orders');
          scene.write('bills', later);
          assert.equal(await program.next(), REFUSED);
          await program.leave();
        });
      }
    });
  }

  interface Command {
    readonly name: string;
    /** Beginning of its client id. */
    readonly clientId: string;
    /** It reads its input in pieces of this size at the most; 0: in lines. */
    readonly chunkBytes: number;
    producer(topic: string): readonly string[];
    consumer(topic: string): readonly string[];
    /** Reads orders and secrets. */
    both(): readonly string[];
    /** Whether the topic that is refused ends it; if not, it reads the other. */
    readonly bothEnds: boolean;
    readonly producerErrors: RegExp;
    readonly consumerErrors: RegExp;
  }

  function commandCases(command: Command): void {
    const { name, clientId, producerErrors, consumerErrors } = command;
    describe(name, () => {
      test('producer', async () => {
        const [allowed, revoked] = [`${name}-allowed`, `${name}-revoked`];
        const padding = '\n'.repeat(command.chunkBytes);
        const stays = openClient(scene, command.producer('bills'));
        try {
          stays.write(allowed + padding);
          await scene.arrived('bills', allowed);
          const refused = openClient(scene, command.producer('secrets'));
          await refused.ended(`${name}-refused\n`);
          assert.match(refused.errors(), producerErrors);
          await scene.refused(clientId, 'secrets');
          await scene.allow('orders');
          stays.write(revoked + padding);
          await scene.refused(clientId, 'bills');
          await stays.ended();
          assert.match(stays.errors(), producerErrors);
        } finally {
          await stays.kill();
        }
        assert.deepEqual(scene.records('secrets'), ['seed']);
        assert.equal(scene.records('bills').includes(revoked), false);
      });

      test('consumer', async () => {
        const [earlier, later] = [`${name}-earlier`, `${name}-later`];
        const stays = openClient(scene, command.consumer('bills'));
        const both = openClient(scene, command.both());
        try {
          if (command.bothEnds) {
            await both.ended();
            assert.match(both.errors(), consumerErrors);
          } else await both.printed('seed\n');
          const refused = openClient(scene, command.consumer('secrets'));
          await refused.ended();
          assert.equal(refused.output(), '');
          assert.match(refused.errors(), consumerErrors);

          await stays.printed('seed\n');
          scene.write('bills', earlier);
          await stays.printed(earlier);
          await scene.allow('orders');
          scene.write('bills', later);
          await stays.ended();
          assert.equal(stays.output().includes(later), false);
          assert.match(stays.errors(), consumerErrors);
        } finally {
          await stays.kill();
          await both.kill();
        }
      });
    });
  }
}
