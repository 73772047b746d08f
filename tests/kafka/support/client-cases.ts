import assert from 'node:assert/strict';
import { resolve } from 'node:path';
import { after, before, beforeEach, describe, test } from 'node:test';
import { kafkaClassPath } from '@weir/agent';
import { type ClientProgram, javaProgram, quickJvm, startClientProgram } from './client-program.ts';
import { type ClientScene, openClient, startClientScene } from './client-scene.ts';

const REFUSED = 'TOPIC_AUTHORIZATION_FAILED';
const producerModes = ['plain', 'idempotent', 'transactional'];

export interface ClientCases {
  /** The broker's release, and that of the console clients. */
  readonly version: string;
  /** Releases of the Java program, and what its consumers can be with each and this broker. */
  readonly javaPrograms: Readonly<Record<string, readonly ('classic' | 'consumer' | 'share')[]>>;
  readonly console: Console;
  /** What kcat takes the broker for, instead of asking for its API versions. */
  readonly kcatFallback?: string;
}

/** The console programs: words up to the broker's address, the option for a pattern of topics, last words. */
export interface Console {
  readonly producer: readonly string[];
  readonly consumer: readonly string[];
  readonly pattern: string;
  readonly consumerErrors: RegExp;
}

/** What a client library does when one of several topics is refused, by a filter or by its broker. */
interface Manners {
  /** What becomes of the other topic's record. */
  readonly beside: 'ok' | typeof REFUSED;
  /** Whether topics that were allowed once go into one request with new ones, and are refused with it. */
  readonly together: boolean;
  /** Whether a record that was refused before it was sent aborts its transaction. */
  readonly unsentAborts: boolean;
  /** Whether a member of a classic group reads the other topic. */
  readonly readsBeside: boolean;
}

/** It asks for all topics of a producer or consumer at once, and takes one error for all of them. */
const kafkajs: Manners = { beside: REFUSED, together: true, unsentAborts: true, readsBeside: false };
const java: Manners = { beside: 'ok', together: true, unsentAborts: true, readsBeside: true };
/** The same with ACLs of Kafka 2.0 itself: after an error or two from poll its member waits for minutes. */
const java2: Manners = { beside: 'ok', together: false, unsentAborts: false, readsBeside: false };

/** Registers the tests of real clients against a broker of this release: docs/kafka.md has their outcomes. */
export function clientCases({ version, javaPrograms, console, kcatFallback }: ClientCases): void {
  let scene: ClientScene;
  before(async () => {
    scene = await startClientScene(version);
  });
  beforeEach(() => scene.allow('orders', 'bills'));
  after(() => scene?.stop());

  programCases({
    name: 'kafkajs',
    command: () => [process.execPath, resolve(import.meta.dirname, 'kafkajs-program.ts')],
    consumers: ['classic'],
    manners: kafkajs,
  });
  for (const [release, consumers] of Object.entries(javaPrograms)) {
    programCases({
      name: `java-${release}`,
      command: () => javaProgram(scene, release, consumers.includes('share')),
      consumers,
      manners: release.startsWith('2.') ? java2 : java,
    });
  }
  kcatCases('kcat');
  if (kcatFallback !== undefined)
    kcatCases(
      `kcat-${kcatFallback}`,
      ...['-X', 'api.version.request=false', '-X', `broker.version.fallback=${kcatFallback}`],
    );
  const jvm = (program: readonly string[], ...args: readonly string[]) => [
    ...['java', ...quickJvm, '-cp', kafkaClassPath(version), ...program],
    ...[scene.bootstrap, ...args],
  ];
  commandCases({
    name: 'console',
    clientId: 'console-',
    chunkBytes: 0,
    producer: (topic) => jvm(console.producer, '--topic', topic),
    consumer: (topic) => jvm(console.consumer, '--from-beginning', '--topic', topic),
    both: () => jvm(console.consumer, '--from-beginning', console.pattern, 'orders|secrets'),
    bothEnds: false,
    // They log what went wrong, and our jars have no logger.
    producerErrors: /^/,
    consumerErrors: console.consumerErrors,
  });

  function kcatCases(name: string, ...words: readonly string[]): void {
    const kcat = (...args: readonly string[]) => ['kcat', '-b', scene.bootstrap, '-u', ...words, ...args];
    commandCases({
      name,
      clientId: 'rdkafka',
      chunkBytes: 4096,
      producer: (topic) => kcat('-P', '-t', topic),
      consumer: (topic) => kcat('-C', '-t', topic),
      both: () => [...kcat('-o', 'beginning'), '-G', 'both', 'orders', 'secrets'],
      bothEnds: true,
      producerErrors: /Topic authorization failed/,
      consumerErrors: /Topic authorization failed/,
    });
  }

  interface Program {
    readonly name: string;
    command(): readonly string[];
    readonly consumers: readonly string[];
    readonly manners: Manners;
  }

  function programCases({ name, command, consumers, manners }: Program): void {
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
          const { beside, together } = manners;
          const inTransaction = mode === 'transactional';
          const unsentAborts = inTransaction && manners.unsentAborts;
          const answer = (outcomes: Readonly<Record<string, string>>, aborts: boolean) =>
            [
              ...Object.entries(outcomes).map(([topic, outcome]) => `${topic}=${outcome}`),
              ...(inTransaction ? [`transaction=${aborts ? 'aborted' : 'committed'}`] : []),
            ].join(' ');

          assert.equal(await produced('allowed', 'orders'), answer({ orders: 'ok' }, false));
          assert.equal(await produced('refused', 'secrets'), answer({ secrets: REFUSED }, unsentAborts));
          assert.equal(
            await produced('partly', 'orders', 'secrets'),
            answer({ orders: beside, secrets: REFUSED }, unsentAborts),
          );
          await scene.allow('bills');
          assert.equal(await produced('revoked', 'orders'), answer({ orders: REFUSED }, true));
          if (together && !inTransaction)
            assert.equal(
              await produced('both', 'orders', 'bills'),
              answer({ orders: REFUSED, bills: REFUSED }, true),
            );
          assert.equal(await produced('beside', 'bills'), answer({ bills: beside }, beside !== 'ok'));
          await scene.allow('orders', 'bills');
          assert.equal(await produced('again', 'orders'), answer({ orders: 'ok' }, false));

          assert.deepEqual(scene.records('secrets'), ['seed']);
          const partly = beside === 'ok' && !unsentAborts ? [value('partly')] : [];
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
          if (mode !== 'classic') assert.equal(await program.next(), REFUSED);
          else if (manners.readsBeside) {
            const rest = new Set(await met('orders:seed'));
            rest.delete(REFUSED);
            assert.deepEqual([...rest], ['orders:seed']);
          }
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
