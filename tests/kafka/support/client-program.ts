import { execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { kafkaClassPath } from '@weir/agent';
import { CLIENT_MS, type ClientScene } from './client-scene.ts';

/**
 * A program around a client library, in the clients' namespace. It reads orders from its input, a line each, and
 * answers each with a line: `kafkajs-program.ts` and `JavaProgram.java`.
 */
export interface ClientProgram {
  /**
   * Sends a record to each of the topics, with the producer of this mode, which stays open. Answers with what came
   * of each, `ok` or the name of Kafka's error, and `transaction=committed` or `aborted` in transactions.
   */
  produce(mode: string, value: string, ...topics: readonly string[]): Promise<string>;
  /** Opens a consumer in a group of its own that reads the topics from their beginning. */
  consume(mode: string, ...topics: readonly string[]): Promise<string>;
  /** What that consumer has next: `TOPIC:VALUE`, or the name of Kafka's error. */
  next(): Promise<string>;
  /** Closes that consumer. */
  leave(): Promise<string>;
  end(): Promise<void>;
}

/** Words of a JVM that starts soon, and is not meant to run long. */
export const quickJvm = ['-XX:+UseSerialGC', '-XX:TieredStopAtLevel=1'] as const;

/** Compiles JavaProgram against the Java clients of a release, and gives the command. */
export function javaProgram(
  { directory }: ClientScene,
  release: string,
  shareGroups: boolean,
): readonly string[] {
  const jars = kafkaClassPath(release);
  const classes = join(directory, release);
  const sources = ['JavaProgram.java', ...(shareGroups ? ['ShareReader.java'] : [])];
  execFileSync('javac', [
    ...['-nowarn', '-proc:none', '-cp', jars, '-d', classes],
    ...sources.map((file) => join(import.meta.dirname, file)),
  ]);
  return ['java', ...quickJvm, '-cp', `${jars}:${classes}`, 'JavaProgram'];
}

/** Starts the program; its first argument is the broker. */
export function startClientProgram(scene: ClientScene, command: readonly string[]): ClientProgram {
  const [program, ...words] = scene.enter;
  const child = spawn(program, [...words, ...command, scene.bootstrap], { stdio: ['pipe', 'pipe', 'pipe'] });
  const exited = once(child, 'exit');
  let errors = '';
  child.stderr.setEncoding('utf8').on('data', (text: string) => {
    errors = (errors + text).slice(-4_000);
  });
  const answers = createInterface(child.stdout)[Symbol.asyncIterator]();

  async function ask(...order: readonly string[]): Promise<string> {
    child.stdin.write(`${order.join(' ')}\n`);
    const signal = AbortSignal.timeout(CLIENT_MS);
    const late = once(signal, 'abort').then(() => {
      throw new Error(`no answer to ${order.join(' ')}: ${errors}`);
    });
    const answer = await Promise.race([answers.next(), late]);
    if (answer.done) throw new Error(`the program ended at ${order.join(' ')}: ${errors}`);
    return answer.value;
  }

  return {
    produce: (mode, value, ...topics) => ask('produce', mode, value, ...topics),
    consume: (mode, ...topics) => ask('consume', mode, ...topics),
    next: () => ask('next'),
    leave: () => ask('leave'),
    async end() {
      child.stdin.end();
      child.kill();
      await exited;
    },
  };
}
