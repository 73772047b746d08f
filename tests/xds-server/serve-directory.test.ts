import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { mkdirSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { suite, type TestContext, test } from 'node:test';
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

const usage = [
  { name: 'no address', args: ['--dir', '.'], error: /required option '--listen <address>' not specified/ },
  {
    name: 'no such address',
    args: ['--dir', '.', '--listen', 'here'],
    error: /expected unix:PATH or tcp:HOST:PORT/,
  },
  { name: 'no such folder', args: ['--dir', 'nowhere', '--listen', 'tcp:127.0.0.1:0'], error: /nowhere/ },
];
for (const { name, args, error } of usage) {
  test(`weir xds serve with ${name} ends with an error`, () => {
    const weir = resolve(import.meta.dirname, '../../weir');
    const { status, stderr } = spawnSync(weir, ['xds', 'serve', ...args], { encoding: 'utf8' });
    assert.notEqual(status, 0);
    assert.match(stderr, error);
  });
}

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
