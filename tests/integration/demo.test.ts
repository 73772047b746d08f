import assert from 'node:assert/strict';
import { type ChildProcess, spawn, spawnSync } from 'node:child_process';
import { after, describe, it } from 'node:test';
import {
  clearKafkaStage,
  clearStage,
  controlClient,
  type Status,
  socketPaths,
  stageNames,
  weir,
} from '@weir/agent';
import { assertNothingLeft } from './leaks.ts';

const names = stageNames('demo');
const [program = '', ...words] = weir(names);

/** Starts `weir demo` and resolves when it has printed `text`. */
async function demoUntil(
  text: string,
  ...more: readonly string[]
): Promise<{ demo: ChildProcess; output: () => string }> {
  const demo = spawn(program, [...words, 'demo', ...more], {
    stdio: ['ignore', 'pipe', 'inherit'],
    detached: true,
  });
  let output = '';
  await new Promise<void>((resolve, reject) => {
    demo.stdout?.setEncoding('utf8').on('data', (part: string) => {
      output += part;
      if (output.includes(text)) resolve();
    });
    demo.once('exit', (code) => reject(new Error(`the demo ended with status ${code}:\n${output}`)));
  });
  return { demo, output: () => output };
}

function exit(demo: ChildProcess): Promise<number | null> {
  return new Promise((resolve) => demo.once('exit', resolve));
}

describe('weir demo', () => {
  after(async () => {
    await clearStage(names);
    assertNothingLeft(names);
  });

  it('tells its story to the end and leaves nothing behind', () => {
    const { status, stdout, stderr } = spawnSync(program, [...words, 'demo'], { encoding: 'utf8' });
    assert.equal(status, 0, stdout + stderr);
    assert.equal(stderr, '');
    assert.match(stdout, /X-wing/);
    assert.match(stdout, /403 "Access denied\\r\\n"/);
    assert.match(stdout, /200 on the same connection, \d+ ms after the file was saved/);
    assertNothingLeft(names);
  });

  it('cleans up after Ctrl-C', async () => {
    const { demo, output } = await demoUntil('2. 1-empire-only.yaml');
    const ended = exit(demo);
    demo.kill('SIGINT');
    assert.equal(await ended, 130, output());
    assertNothingLeft(names);
  });

  it('cleans up after a run that crashed', async () => {
    const { demo } = await demoUntil('2. 1-empire-only.yaml');
    const ended = exit(demo);
    demo.kill('SIGKILL');
    await ended;
    const { status, stdout, stderr } = spawnSync(program, [...words, 'demo'], { encoding: 'utf8' });
    assert.equal(status, 0, stdout + stderr);
    assertNothingLeft(names);
  });

  it('stays when it is told to, says how to look around, and goes when it is told to', async () => {
    const { status, stdout, stderr } = spawnSync(program, [...words, 'demo', '--keep'], { encoding: 'utf8' });
    assert.equal(status, 0, stdout + stderr);
    assert.match(stdout, /\.\/weir --instance demo status/);
    const seen = (await controlClient(socketPaths(names.runDirectory).control).call(
      'GET',
      '/v1/status',
    )) as Status;
    assert.equal(seen.healthy, true);
    const landing = [
      'netns',
      'exec',
      'weir-demo-tiefighter',
      'curl',
      '-s',
      '-o',
      '/dev/null',
      '-w',
      '%{http_code}',
      '-X',
      'POST',
    ];
    const curl = spawnSync('ip', [...landing, 'http://10.77.0.1/v1/request-landing'], { encoding: 'utf8' });
    assert.equal(curl.stdout, '200');
    const removed = spawnSync(program, [...words, 'demo', '--remove'], { encoding: 'utf8' });
    assert.equal(removed.status, 0, removed.stderr);
    assertNothingLeft(names);
  });
});

describe('weir demo kafka', () => {
  const kafkaNames = stageNames('demo-kafka');
  after(async () => {
    await clearKafkaStage(kafkaNames);
    assertNothingLeft(kafkaNames);
  });

  it('tells its story to the end and leaves nothing behind', () => {
    const { status, stdout, stderr } = spawnSync(program, [...words, 'demo', 'kafka'], { encoding: 'utf8' });
    assert.equal(status, 0, stdout + stderr);
    assert.equal(stderr, '');
    assert.match(stdout, /Topic authorization failed/);
    assert.match(stdout, /was told ".*" \d+ ms after the file was saved/);
    assertNothingLeft(kafkaNames);
  });

  it('stays when it is told to, and goes when it is told to', () => {
    const { status, stdout, stderr } = spawnSync(program, [...words, 'demo', 'kafka', '--keep'], {
      encoding: 'utf8',
    });
    assert.equal(status, 0, stdout + stderr);
    const kcat = ['netns', 'exec', 'weir-demo-kafka-archive', 'kcat', '-b', '10.77.1.1', '-C', '-e', '-q'];
    const read = spawnSync('ip', [...kcat, '-t', 'plans'], { encoding: 'utf8' });
    assert.equal(read.stdout, 'the exhaust port\n', read.stderr);
    const removed = spawnSync(program, [...words, 'demo', 'kafka', '--remove'], { encoding: 'utf8' });
    assert.equal(removed.status, 0, removed.stderr);
    assertNothingLeft(kafkaNames);
  });
});
