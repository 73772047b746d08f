import assert from 'node:assert/strict';
import { spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { mkdirSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { suite, type TestContext, test } from 'node:test';
import { connect } from 'node:tls';
import { endingWithUs } from '@weir/agent';
import { type ServedDirectory, serveDirectory } from '@weir/xds-server';
import { startEnvoy, temporaryDirectory } from './envoy-under-test.ts';

const deadlineMs = 10_000;

interface Served extends ServedDirectory {
  readonly dir: string;
  readonly socket: string;
  /** Resolves with the first line that matches, from the start of the output on. */
  readonly line: (pattern: RegExp) => Promise<string>;
}

async function serve(t: TestContext, files: Record<string, string>): Promise<Served> {
  const dir = temporaryDirectory(t);
  const socket = join(temporaryDirectory(t), 'xds.sock');
  for (const [name, text] of Object.entries(files)) writeFileSync(join(dir, name), text);
  const lines: string[] = [];
  const waiting = new Set<() => void>();
  const print = (text: string): void => {
    lines.push(text);
    for (const check of waiting) check();
  };
  const served = await serveDirectory({ dir, listen: [{ kind: 'unix', path: socket }], print });
  t.after(served.close);
  const line = (pattern: RegExp): Promise<string> =>
    new Promise((done, fail) => {
      const timer = setTimeout(
        () => fail(new Error(`no line ${pattern} in:\n${lines.join('\n')}`)),
        deadlineMs,
      );
      const check = (): void => {
        const found = lines.find((text) => pattern.test(text));
        if (found === undefined) return;
        waiting.delete(check);
        clearTimeout(timer);
        done(found);
      };
      waiting.add(check);
      check();
    });
  return { ...served, dir, socket, line };
}

const web = (path: string, text: string): string => `
resources:
- '@type': type.googleapis.com/envoy.config.listener.v3.Listener
  name: web
  address: { pipe: { path: ${path} } }
  filter_chains:
  - filters:
    - name: http
      typed_config:
        '@type': type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager
        stat_prefix: web
        route_config:
          virtual_hosts:
          - name: all
            domains: ['*']
            routes:
            - match: { prefix: / }
              direct_response: { status: 200, body: { inline_string: ${text} } }
        http_filters:
        - name: router
          typed_config:
            '@type': type.googleapis.com/envoy.extensions.filters.http.router.v3.Router
`;

const weir = resolve(import.meta.dirname, '../../weir');
const certificate = (name: string): string => join(import.meta.dirname, 'certificates', name);
const tlsArgs = (key: string): readonly string[] => [
  '--tls-cert',
  certificate('server.pem'),
  '--tls-key',
  certificate(key),
];

const usage = [
  { name: 'no address', args: ['--dir', '.'], error: /required option '--listen <address>' not specified/ },
  {
    name: 'no such address',
    args: ['--dir', '.', '--listen', 'here'],
    error: /expected unix:PATH or tcp:HOST:PORT/,
  },
  {
    name: 'a key that is missing',
    args: ['--dir', '.', '--listen', 'tcp:127.0.0.1:0', '--tls-cert', certificate('server.pem')],
    error: /TLS needs both --tls-cert and --tls-key/,
  },
  {
    name: 'a key that cannot be read',
    args: ['--dir', '.', '--listen', 'tcp:127.0.0.1:0', ...tlsArgs('nowhere.key')],
    error: /--tls-key .*nowhere\.key: ENOENT/,
  },
  {
    name: 'a key that is none',
    args: ['--dir', certificate('.'), '--listen', 'tcp:127.0.0.1:0', ...tlsArgs('server.pem')],
    error: /cannot speak TLS on 127\.0\.0\.1:0: /,
  },
  {
    name: 'TLS for no tcp address',
    args: ['--dir', '.', '--listen', 'unix:xds.sock', ...tlsArgs('server.key')],
    error: /--tls-cert is for tcp:HOST:PORT, and no --listen names one/,
  },
  { name: 'no such folder', args: ['--dir', 'nowhere', '--listen', 'tcp:127.0.0.1:0'], error: /nowhere/ },
];
for (const { name, args, error } of usage) {
  test(`weir xds serve with ${name} ends with an error`, () => {
    const { status, stderr } = spawnSync(weir, ['xds', 'serve', ...args], {
      encoding: 'utf8',
      timeout: deadlineMs,
    });
    assert.notEqual(status, 0);
    assert.match(stderr, error);
  });
}

/** Whether the other end takes the certificate and begins to speak HTTP/2. */
function greets(
  port: number,
  names: { readonly key: string; readonly cert: string } | null,
): Promise<boolean> {
  const own = names === null ? {} : { key: read(names.key), cert: read(names.cert) };
  const socket = connect({ port, host: '127.0.0.1', ca: read('ca.pem'), ALPNProtocols: ['h2'], ...own });
  return new Promise((done) => {
    socket.once('data', (frame: Buffer) => done(frame[3] === settingsFrame));
    socket.once('error', () => done(false));
    socket.once('close', () => done(false));
  }).finally(() => socket.destroy()) as Promise<boolean>;
}
const read = (name: string): Buffer => readFileSync(certificate(name));
const settingsFrame = 4;

test('weir xds serve speaks mutual TLS on a tcp address', async (t) => {
  const args = ['--dir', temporaryDirectory(t), '--listen', 'tcp:127.0.0.1:0', ...tlsArgs('server.key')];
  const all = ['xds', 'serve', ...args, '--tls-client-ca', certificate('ca.pem')];
  const [program, ...words] = endingWithUs(weir, ...all);
  const child = spawn(program, words);
  t.after(() => child.kill('SIGKILL'));
  let output = '';
  const port = await new Promise<number>((done, fail) => {
    const look = (text: Buffer): void => {
      output += text.toString();
      const [, found] = /^listening on tcp:127\.0\.0\.1:(\d+) \(mutual TLS\)$/m.exec(output) ?? [];
      if (found !== undefined) done(Number(found));
    };
    child.stdout.on('data', look);
    child.stderr.on('data', look);
    child.once('exit', () => fail(new Error(output)));
  });
  assert.equal(await greets(port, { key: 'client.key', cert: 'client.pem' }), true);
  assert.equal(await greets(port, { key: 'stranger.key', cert: 'stranger.pem' }), false);
  assert.equal(await greets(port, null), false);
  const ended = once(child, 'exit');
  child.kill('SIGTERM');
  assert.deepEqual(await ended, [0, null]);
});

suite('serveDirectory', () => {
  test('an Envoy follows the files; a bad one is refused with its place and changes nothing', async (t) => {
    const paths = temporaryDirectory(t);
    const first = join(paths, 'first');
    const second = join(paths, 'second');
    const { dir, socket, line } = await serve(t, { 'web.yaml': web(first, 'one') });
    const envoy = startEnvoy(t, { id: 'files', variant: 'delta', xdsSocket: socket });
    await line(/^accepted {2}files: Listener web$/);
    assert.equal((await envoy.get(first, '/')).body, 'one');

    writeFileSync(join(dir, 'web.yaml'), web(first, 'one').replace('stat_prefix', 'stat_prefiks'));
    const problem = await line(/^error/);
    assert.match(
      problem,
      /web\.yaml:11:9: .*key "stat_prefiks" is unknown; what it gave before stays in force$/,
    );
    assert.equal((await envoy.get(first, '/')).body, 'one');

    // Replaced by rename, twice: what editors do, and what a recursive watch loses.
    for (const text of ['two', 'three']) {
      writeFileSync(join(dir, 'web.tmp'), web(second, text).replace('name: web', `name: ${text}`));
      renameSync(join(dir, 'web.tmp'), join(dir, 'web.yaml'));
      await line(new RegExp(`^accepted {2}files: Listener.* ${text}`));
    }
    mkdirSync(join(dir, 'more'));
    writeFileSync(
      join(dir, 'more', 'refused.json'),
      JSON.stringify({
        '@type': 'type.googleapis.com/envoy.config.listener.v3.Listener',
        name: 'no-address',
      }),
    );
    assert.match(await line(/^refused {3}files: Listener no-address/), /nothing of it is in force/);
    rmSync(join(dir, 'more'), { recursive: true });
    await line(/^loaded {4}1 resources from 1 files, 1 changed$/);
  });

  const bad = [
    { name: 'no mapping', text: 'hello', problem: 'bad.yaml:1:1: a resource is a mapping with "@type"' },
    { name: 'bad YAML', text: 'a: [1\nb: 2', problem: 'bad.yaml:2:1:' },
    { name: 'no type', text: 'resources:\n- name: x', problem: 'bad.yaml:2:3: a resource needs "@type"' },
    {
      name: 'unknown type',
      text: "'@type': type.googleapis.com/no.Such",
      problem: 'bad.yaml:1:10: @type "type.googleapis.com/no.Such" is unknown',
    },
    {
      name: 'wrong value',
      text: "'@type': type.googleapis.com/envoy.config.cluster.v3.Cluster\nname: c\nconnect_timeout: soon",
      problem: 'bad.yaml:3:18: cannot decode',
    },
    {
      name: 'a name twice',
      text: "resources:\n- &c\n  '@type': type.googleapis.com/envoy.config.cluster.v3.Cluster\n  name: c\n- *c",
      problem: 'bad.yaml:5:3: type.googleapis.com/envoy.config.cluster.v3.Cluster "c" stands here twice',
    },
    {
      name: 'a name that another file has',
      text: "resources:\n- '@type': type.googleapis.com/envoy.config.cluster.v3.Cluster\n  name: taken",
      problem:
        'bad.yaml:2:3: type.googleapis.com/envoy.config.cluster.v3.Cluster "taken" stands in a.json already',
    },
  ];
  for (const { name, text, problem } of bad) {
    test(`refuses ${name}`, async (t) => {
      const taken = { '@type': 'type.googleapis.com/envoy.config.cluster.v3.Cluster', name: 'taken' };
      const { server, line } = await serve(t, { 'a.json': JSON.stringify(taken), 'bad.yaml': text });
      const found = await line(/^error/);
      assert.ok(found.startsWith(`error     ${problem}`), found);
      assert.deepEqual(
        server.resources().map((resource) => resource.name),
        ['taken'],
      );
    });
  }
});
