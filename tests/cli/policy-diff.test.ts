import assert from 'node:assert/strict';
import { suite, test } from 'node:test';
import { folderOf, runWeir } from './run-weir.ts';
import { policies, workloads } from './shop.testdata.ts';

interface Change {
  readonly from: readonly string[];
  readonly to: readonly string[];
  readonly ports: string;
  readonly request: string | null;
  readonly before: string;
  readonly after: string;
}

const isolateDns = `---
apiVersion: cilium.io/v2
kind: CiliumNetworkPolicy
metadata: {name: dns}
spec:
  endpointSelector: {matchLabels: {app: dns}}
  ingress:
  - fromCIDR: [192.0.2.0/24]
    toPorts: [{ports: [{port: "1000", endPort: 1999, protocol: TCP}]}]
`;

suite('weir policy diff', () => {
  const cases: readonly {
    readonly title: string;
    readonly edit: (text: string) => string;
    /** `from -> to port [request]: before -> after`, sorted. */
    readonly changes: readonly string[];
  }[] = [
    { title: 'no edit, no change', edit: (text) => text, changes: [] },
    { title: 'a comment is no change', edit: (text) => `# note\n${text}`, changes: [] },
    {
      title: 'a port that moves closes the old one and opens the new one',
      edit: (text) => text.replace('"50051"', '"50052"'),
      changes: ['cart -> web 50051/TCP: rules -> denied', 'cart -> web 50052/TCP: denied -> rules'],
    },
    {
      title: 'a wider pattern is shown by a request',
      edit: (text) => text.replace('/v1/[a-z]+', '/v[12]/[a-z]+'),
      changes: ['cart -> web 80/TCP GET /v2/z: denied -> allowed'],
    },
    {
      title: 'a topic that changes is shown by both',
      edit: (text) => text.replace('topic: orders', 'topic: bills'),
      changes: [
        'cart -> broker 9092/TCP Kafka metadata v0 bills: denied -> allowed',
        'cart -> broker 9092/TCP Kafka metadata v0 orders: allowed -> denied',
        'cart -> broker 9092/TCP Kafka produce v0 bills: denied -> allowed',
        'cart -> broker 9092/TCP Kafka produce v0 orders: allowed -> denied',
      ],
    },
    {
      title: 'rules that go leave the port open',
      edit: (text) => text.replace(/ {6}rules:\n {8}kafka:\n.*\n/, ''),
      changes: ['cart -> broker 9092/TCP: rules -> allowed'],
    },
    {
      title: 'default deny closes every port but those of the rule, to the prefixes outside too',
      edit: (text) => `${text}${isolateDns}`,
      changes: [
        '192.0.2.0/24 -> dns 0-999/TCP: allowed -> denied',
        '192.0.2.0/24 -> dns 2000-65535/TCP: allowed -> denied',
        '192.0.2.0/24 -> dns any/ICMP: allowed -> denied',
        '192.0.2.0/24 -> dns any/ICMPv6: allowed -> denied',
        '192.0.2.0/24 -> dns any/SCTP: allowed -> denied',
        '192.0.2.0/24 -> dns any/UDP: allowed -> denied',
        'broker -> dns any: allowed -> denied',
        'cart -> dns 53/UDP: rules -> denied',
        'web -> dns any: allowed -> denied',
        'world (0.0.0.0/0) -> dns any: allowed -> denied',
        'world (::/0) -> dns any: allowed -> denied',
      ],
    },
  ];
  for (const { title, edit, changes } of cases) {
    test(title, (context) => {
      const directory = folderOf(context, {
        'old.yaml': policies,
        'new.yaml': edit(policies),
        'workloads.yaml': workloads,
      });
      const run = runWeir(
        directory,
        ...['--json', 'policy', 'diff', 'old.yaml', 'new.yaml', '--workloads', 'workloads.yaml'],
        '--exit-code',
      );
      assert.equal(run.status, changes.length > 0 ? 1 : 0, run.stderr);
      const report: { readonly changes: readonly Change[] } = JSON.parse(run.stdout);
      assert.deepEqual(report.changes.map(changeText).sort(), changes);
    });
  }

  test('prints a table for people', (context) => {
    const directory = folderOf(context, {
      'old.yaml': policies,
      'new.yaml': policies.replace('"50051"', '"50052"'),
      'workloads.yaml': workloads,
    });
    const run = runWeir(
      directory,
      ...['policy', 'diff', 'old.yaml', 'new.yaml', '--workloads', 'workloads.yaml'],
    );
    assert.equal(run.status, 0);
    assert.match(
      run.stdout,
      /^FROM +TO +PORT +REQUEST +BEFORE +AFTER +WHY\ncart +web +50051\/TCP +- +rules +denied /,
    );
  });

  test('refuses a version that would not be taken', (context) => {
    const directory = folderOf(context, {
      'old.yaml': policies,
      'new.yaml': policies.replace('endpointSelector', 'endpointSelecter'),
      'workloads.yaml': workloads,
    });
    const run = runWeir(
      directory,
      ...['policy', 'diff', 'old.yaml', 'new.yaml', '--workloads', 'workloads.yaml'],
    );
    assert.equal(run.status, 1);
    assert.match(run.stderr, /new\.yaml is refused:\nnew\.yaml:5:3: error: unknown field "endpointSelecter"/);
  });
});

function changeText({ from, to, ports, request, before, after }: Change): string {
  const what = request === null ? '' : ` ${request}`;
  return `${from.join(',')} -> ${to.join(',')} ${ports}${what}: ${before} -> ${after}`;
}
