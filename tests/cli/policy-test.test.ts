import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { suite, test } from 'node:test';
import { folderOf, runWeir } from './run-weir.ts';

const page = readFileSync(resolve(import.meta.dirname, '../../docs/policy-tests.md'), 'utf8');
const [, example = ''] = /```yaml\n(.*?)```/s.exec(page) ?? [];
const wrong = example.replace('path: /v1/exhaust-port}, verdict: denied', 'path: /v1/a<b}, verdict: allowed');

suite('weir policy test', () => {
  test('the example of the page passes', (context) => {
    const run = runWeir(folderOf(context, { 'a.yaml': example }), 'policy', 'test', 'a.yaml');
    assert.deepEqual([run.status, run.stdout], [0, '4 passed, 0 failed\n'], run.stderr);
  });

  test('a probe that fails has one line with the place, what came and why, and status 1', (context) => {
    const directory = folderOf(context, { 'a.yaml': wrong });
    const run = runWeir(directory, 'policy', 'test', '--junit', 'out.xml', 'a.yaml');
    assert.equal(run.status, 1);
    assert.match(
      run.stdout,
      /^FAILED a\.yaml:19: only the team's own ships may land: tie -> deathstar 80\/TCP PUT \/v1\/a<b: expected allowed, but it is denied: allowed by no rule; nearest: a\.yaml:16:\d+, method `PUT` does not match `POST`; path `\/v1\/a<b` does not match `\/v1\/request-landing`$/m,
    );
    assert.equal(run.lastLine, '3 passed, 1 failed');
    const xml = readFileSync(join(directory, 'out.xml'), 'utf8');
    assert.match(xml, /<testsuite name="a\.yaml" tests="4" failures="1" skipped="0">/);
    assert.match(
      xml,
      /name="tie -&gt; deathstar 80\/TCP PUT \/v1\/a&lt;b" .*<failure message="expected allowed/,
    );
  });

  test('--json gives the counts and every result', (context) => {
    const run = runWeir(folderOf(context, { 'a.yaml': wrong }), 'policy', 'test', '--json', 'a.yaml');
    const report = JSON.parse(run.stdout);
    assert.deepEqual([run.status, report.passed, report.failed], [1, 3, 1]);
    assert.deepEqual(
      report.files[0].results.map((item: { passed: boolean }) => item.passed),
      [true, true, false, true],
    );
  });

  test('an uncertain case is reported and does not fail', (context) => {
    const uncertain = wrong.replace('  endpoints:', '  uncertain: true\n  endpoints:');
    const run = runWeir(folderOf(context, { 'a.yaml': uncertain }), 'policy', 'test', 'a.yaml');
    assert.equal(run.status, 0);
    assert.match(run.stdout, /^uncertain a\.yaml:20: /m);
    assert.match(run.stdout, /^uncertain, not counted: 3 as the case guesses, 1 not$/m);
    assert.equal(run.lastLine, '0 passed, 0 failed');
  });

  test('a file without cases is skipped with a note; alone it is an error', (context) => {
    const directory = folderOf(context, { 'a.yaml': example, 'list.yaml': 'samples: []\n' });
    const both = runWeir(directory, 'policy', 'test', 'list.yaml', 'a.yaml');
    assert.equal(both.status, 0);
    assert.match(
      both.stdout,
      /^note: list\.yaml:1:1: this is no test file: it has no list of cases; skipped$/m,
    );
    assert.equal(both.lastLine, '4 passed, 0 failed');
    const alone = runWeir(directory, 'policy', 'test', 'list.yaml');
    assert.deepEqual([alone.status, alone.lastLine], [1, '0 passed, 0 failed']);
    assert.match(alone.stderr, /none of the files is a test file/);
  });

  const malformed: readonly (readonly [string, string, string, RegExp])[] = [
    [
      'an unknown field of a request',
      'method: PUT',
      'metod: PUT',
      /unknown field "metod" in http; did you mean "method"\?/,
    ],
    ['an end that is nobody', 'from: tie', 'from: tei', /no endpoint of the case is called "tei"/],
    ['a probe without port', 'port: 80, verdict', 'verdict', /a probe needs "port"/],
    [
      'a verdict that is none',
      'verdict: denied',
      'verdict: refused',
      /verdict must be allowed, denied or redirected/,
    ],
  ];
  for (const [title, from, to, message] of malformed) {
    test(`${title} fails its case, not the others`, (context) => {
      const text = `${example}${example.replace('cases:\n', '').replace(from, to)}`;
      const run = runWeir(folderOf(context, { 'a.yaml': text }), 'policy', 'test', 'a.yaml');
      assert.deepEqual([run.status, run.lastLine], [1, '4 passed, 1 failed'], run.stdout);
      assert.match(run.stdout, message);
    });
  }

  test('a file that is no YAML or not there fails and leaves the others alone', (context) => {
    const directory = folderOf(context, { 'a.yaml': example, 'b.yaml': 'cases: [' });
    const run = runWeir(directory, 'policy', 'test', 'b.yaml', 'none.yaml', 'a.yaml');
    assert.deepEqual([run.status, run.lastLine], [1, '4 passed, 2 failed']);
    assert.match(run.stdout, /^FAILED b\.yaml:1:\d+: this is not YAML/m);
    assert.match(run.stdout, /^FAILED none\.yaml: cannot be read: ENOENT/m);
  });
});
