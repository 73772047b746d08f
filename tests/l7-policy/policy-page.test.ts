/** The examples of docs/policy.md have the verdicts that the page gives them. */
import assert from 'node:assert/strict';
import { globSync, readFileSync } from 'node:fs';
import { resolve } from 'node:path';
import { suite, test } from 'node:test';
import { runPolicyTests } from '@weir/l7-policy';
import { parse } from 'yaml';

const root = resolve(import.meta.dirname, '../..');
const page = readFileSync(resolve(root, 'docs/policy.md'), 'utf8');
const [, worldText = '', ...parts] = page.split(/^```yaml\n/m);
const world: Record<string, unknown> = parse(fenced(worldText).inside);
const columns = ['from', 'to', 'port', 'request', 'verdict'];

suite('docs/policy.md', () => {
  for (const part of parts) {
    const { inside, after } = fenced(part);
    const [, name = ''] = /metadata: {name: ([a-z0-9-]+)/.exec(inside) ?? [];
    test(`the example ${name}`, () => {
      const [, refusal] = /^Refused: `(.*)`$/m.exec(after) ?? [];
      const rows = tableRows(after);
      const expected =
        refusal === undefined ? { probes: rows.map(probe) } : { errors: [{ contains: refusal }] };
      assert.ok(refusal !== undefined || rows.length > 0, 'an example says what comes of it');
      const text = JSON.stringify({ cases: [{ name, ...world, policies: inside, ...expected }] });
      const failed = runPolicyTests(text, 'policy.md').filter(({ passed }) => !passed);
      assert.deepEqual(
        failed.map(({ title, message }) => `${title}: ${message}`),
        [],
      );
    });
  }

  test('says of every uncertain case what Weir does', () => {
    const data = resolve(root, 'tests/conformance/data');
    const outcomes = globSync('*.yaml', { cwd: data })
      .flatMap((file) => runPolicyTests(readFileSync(resolve(data, file), 'utf8'), file))
      .filter(({ uncertain }) => uncertain);
    const expected = [...Map.groupBy(outcomes, (item) => item.test)].map(
      ([name, items]) => `${name}: ${items.every(({ passed }) => passed) ? 'as the case says' : 'otherwise'}`,
    );
    const [, section = ''] = page.split('## Where nobody knows');
    const told = [...section.matchAll(/^\| ([a-z0-9-]+) \| (as the case says|otherwise) \|/gm)].map(
      ([, name, what]) => `${name}: ${what}`,
    );
    assert.deepEqual(told.sort(), expected.sort());
  });

  test('tells of every difference from Cilium, and of no other', () => {
    const text = readFileSync(resolve(import.meta.dirname, 'cases/cilium-differences.yaml'), 'utf8');
    const { cases }: { readonly cases: readonly { readonly name: string }[] } = parse(text);
    const [, section = ''] = page.split('## Where Weir and Cilium part');
    const [, ...rows] = [...(section.split('\n## ', 1)[0] ?? '').matchAll(/^\| ([a-z0-9-]+) \|/gm)];
    const told = rows.flatMap(([, name = '']) => (name === '---' ? [] : name));
    assert.deepEqual(
      told,
      cases.map(({ name }) => name),
    );
  });
});

/** What stands in a fence, and the text after it up to the next example or section. */
function fenced(part: string): { readonly inside: string; readonly after: string } {
  const end = part.indexOf('\n```');
  return { inside: part.slice(0, end + 1), after: part.slice(end + 4).split('\n## ', 1)[0] ?? '' };
}

function tableRows(text: string): readonly Readonly<Record<string, string>>[] {
  const lines = text.split('\n').filter((line) => line.startsWith('|'));
  const cells = (line: string) =>
    line
      .split('|')
      .slice(1, -1)
      .map((cell) => cell.trim());
  if (lines.length === 0) return [];
  assert.deepEqual(cells(lines[0]!), columns);
  return lines.slice(2).map((line) => {
    const values = cells(line);
    return Object.fromEntries(columns.map((name, index) => [name, values[index] ?? '']));
  });
}

function probe(row: Readonly<Record<string, string>>): object {
  const [port, protocol = 'TCP'] = row['port']!.split('/');
  const place = protocol === 'ICMP' ? { icmp: { family: 'IPv4', type: port } } : { port, protocol };
  return { from: row['from'], to: row['to'], verdict: row['verdict'], ...place, ...request(row['request']!) };
}

/** `GET /path Name:value`, `gRPC a.B/C`, `Kafka key topic,topic`, `DNS name`, `TLS name`. */
function request(text: string): object {
  if (text === '') return {};
  const [first = '', second = '', ...rest] = text.split(' ');
  switch (first) {
    case 'gRPC': {
      const [service, method] = second.split('/');
      return { grpc: { service, method } };
    }
    case 'Kafka':
      return { kafka: { apiKey: second, apiVersion: 0, clientId: 'c', topics: rest[0]?.split(',') ?? [] } };
    case 'DNS':
      return { dns: { name: second } };
    case 'TLS':
      return { tls: { sni: second } };
    default: {
      const headers = Object.fromEntries(rest.map((header) => header.split(':')));
      return { http: { method: first, path: second, headers } };
    }
  }
}
