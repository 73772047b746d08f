import assert from 'node:assert/strict';
import { suite, test } from 'node:test';
import { folderOf, runWeir, type WeirRun } from './run-weir.ts';
import { policies, workloads } from './shop.testdata.ts';

const files = {
  'policy.yaml': policies,
  'workloads.yaml': workloads,
  'plain.http': 'GET /v1/./items HTTP/1.1\r\nHost: web\r\n\r\n',
  'split.http':
    'POST /v1/items HTTP/1.1\r\nHost: web\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n',
};
const offline = ['--policies', 'policy.yaml', '--workloads', 'workloads.yaml'];

suite('weir policy explain', () => {
  const cases: readonly {
    readonly title: string;
    readonly words: readonly string[];
    readonly says: readonly RegExp[];
  }[] = [
    {
      title: 'names the nearest rule and the query that it does not take',
      words: ['--from', 'cart', '--to', 'web', '--port', '80', '--http', 'GET /v1/items?all=1'],
      says: [
        /^DENIED: allowed by no rule; nearest: policy\.yaml:12:11, path `\/v1\/items\?all=1` does not match `\/v1\/\[a-z\]\+`; it would without the query string$/m,
      ],
    },
    {
      title: 'says when a trailing slash is in the way',
      words: ['--from', 'cart', '--to', 'web', '--port', '80', '--http', 'GET /v1/items/'],
      says: [/it would without the trailing slash/],
    },
    {
      title: 'names the header that is missing',
      words: ['--from', 'cart', '--to', 'web', '--port', '80', '--http', 'PUT /v1/items'],
      says: [/policy\.yaml:13:11, header X-Role is missing \(wanted: `admin`\)/],
    },
    {
      title: 'takes headers',
      words: [
        '--from',
        'cart',
        '--to',
        'web',
        '--port',
        '80',
        '--http',
        'PUT /v1/items',
        '-H',
        'X-Role: admin',
      ],
      says: [/^ALLOWED: allowed by policy\.yaml:13:11/],
    },
    {
      title: 'judges a gRPC call',
      words: ['--from', 'app=cart', '--to', 'web', '--port', '50051', '--grpc', 'shop.Cart/Drop'],
      says: [/^DENIED: .*gRPC method `Drop` does not match `Get`/],
    },
    {
      title: 'judges a Kafka request by key, topic, version and client',
      words: [
        '--from',
        'cart',
        '--to',
        'broker',
        '--port',
        '9092',
        '--kafka',
        'produce payments version=3 client=c',
      ],
      says: [/^DENIED: .*policy\.yaml:\d+:\d+, no rule allows topic `payments`/],
    },
    {
      title: 'judges a DNS query',
      words: ['--from', 'cart', '--to', 'dns', '--port', '53/UDP', '--dns', 'a.b.example.com'],
      says: [/^DENIED: .*name `a\.b\.example\.com` does not match `\*\.example\.com`/],
    },
    {
      title: 'normalises a raw request as Envoy does',
      words: ['--from', 'cart', '--to', 'web', '--port', '80', '--file', 'plain.http'],
      says: [
        /^ALLOWED: allowed by policy\.yaml:12:11/,
        /^ {2}proxy: the path is normalised to `\/v1\/items`$/m,
      ],
    },
    {
      title: 'says that Envoy refuses a raw request',
      words: ['--from', 'cart', '--to', 'web', '--port', '80', '--file', 'split.http'],
      says: [
        /^DENIED: refused by Envoy before any rule \(400\): it has both Content-Length and Transfer-Encoding/,
      ],
    },
    {
      title: 'names the peers and ports of each rule, its policy, and who restricts the workload',
      words: ['--from', 'cart', '--to', 'web', '--port', '81'],
      says: [
        /^DENIED: allowed by no rule; nearest: policy\.yaml:9:7, takes cart, but only on 80\/TCP$/m,
        /^ {2}egress of cart, in default deny by default\/cart-dns: allowed on layers 3 and 4$/m,
        /^ {4}policy\.yaml:\d+ \(default\/cart-dns\): allows app=web,namespace=default or app=broker,namespace=default on every port$/m,
        /^ {2}ingress of web, in default deny by default\/web: denied$/m,
        /^ {4}policy\.yaml:\d+ \(default\/web\): nearest: takes cart, but only on 50051\/TCP$/m,
      ],
    },
    {
      title: 'names the peers that a rule for the port takes',
      words: ['--from', 'dns', '--to', 'web', '--port', '80'],
      says: [/nearest: policy\.yaml:9:7, is for this port, but takes app=cart,namespace=default$/m],
    },
    {
      title: 'takes a missing header for nearer than another path or method',
      words: ['--from', 'cart', '--to', 'web', '--port', '80', '--http', 'PUT /v1/items/'],
      says: [
        /nearest: policy\.yaml:13:11, path `\/v1\/items\/` does not match `\/v1\/items`; it would without the trailing slash; header X-Role is missing/,
      ],
    },
    {
      title: 'shows what every matching rule does to the headers',
      words: ['--from', 'cart', '--to', 'web', '--port', '80', '--http', 'GET /v1/items'],
      says: [
        /^ {4}policy\.yaml:12 \(default\/web\): matches the request$/m,
        /^ {4}policy\.yaml:14 \(default\/web\): matches the request; replaces header X-Team$/m,
        /^ {2}headers after the rules: X-Team: blue$/m,
      ],
    },
    {
      title: 'says that a request is of the wrong protocol',
      words: ['--from', 'cart', '--to', 'broker', '--port', '9092', '--http', 'GET /'],
      says: [/^DENIED: .*nearest: policy\.yaml:\d+:\d+, a http request is no Kafka request$/m],
    },
    {
      title: 'says that this node serves no such rules',
      words: ['--from', 'cart', '--to', 'dns', '--port', '53/UDP', '--dns', 'pay.example.com'],
      says: [/^ALLOWED: /, /^ {2}proxy: no proxy serves dns rules yet: .*l7-unavailable/m],
    },
    {
      title: 'takes the node and the world by their reserved names',
      words: ['--from', 'reserved:host', '--to', 'web', '--port', '80'],
      says: [/^ALLOWED: allowed: the node itself reaches its workloads, unless a rule denies it$/m],
    },
    {
      title: 'takes an address as tests of policies write it',
      words: ['--from', 'ip:192.0.2.1', '--to', 'web', '--port', '80'],
      says: [/^DENIED: allowed by no rule/],
    },
    {
      title: 'says that no proxy is on the way',
      words: ['--from', 'cart', '--to', 'broker', '--port', '80', '--http', 'GET /../x'],
      says: [/^DENIED: /],
    },
  ];
  for (const { title, words, says } of cases) {
    test(title, (context) => {
      const run = explain(folderOf(context, files), words);
      assert.equal(run.status, 0, run.stderr);
      for (const text of says) assert.match(run.stdout, text);
    });
  }

  const faults: readonly (readonly [string, readonly string[], RegExp])[] = [
    [
      'a workload that is not there',
      ['--from', 'crat', '--to', 'web', '--port', '80'],
      /no workload is called "crat"; known: broker, cart, dns, web/,
    ],
    [
      'the world without its prefix',
      ['--from', 'world', '--to', 'web', '--port', '80'],
      /no workload is called "world"; did you mean reserved:world\?/,
    ],
    [
      'two requests',
      ['--from', 'cart', '--to', 'web', '--port', '80', '--http', 'GET /', '--dns', 'a'],
      /--http and --dns ask about different requests/,
    ],
    [
      'a Kafka key that is none',
      ['--from', 'cart', '--to', 'web', '--port', '80', '--kafka', 'prodcue x'],
      /--kafka 'prodcue x': expected an API key/,
    ],
  ];
  for (const [title, words, says] of faults) {
    test(`refuses ${title}`, (context) => {
      const run = explain(folderOf(context, files), words);
      assert.equal(run.status, 1);
      assert.match(run.stderr, says);
    });
  }
});

function explain(directory: string, words: readonly string[]): WeirRun {
  return runWeir(directory, 'policy', 'explain', ...words, ...offline);
}
