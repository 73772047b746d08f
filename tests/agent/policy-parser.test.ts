import assert from 'node:assert/strict';
import { after, describe, it } from 'node:test';
import { createPolicyParser, engineOptions, type PolicyParser } from '@weir/agent';
import { createEngine, createFileParser, identity } from '@weir/l7-policy';

const options = engineOptions({ allocate: () => identity(300), release: () => undefined }, '');
const policy = (name: string): string => `
apiVersion: cilium.io/v2
kind: CiliumNetworkPolicy
metadata: {name: ${name}}
spec:
  endpointSelector: {matchLabels: {app: web}}
  ingress:
  - toPorts:
    - ports: [{port: "80", protocol: TCP}]
      rules: {http: [{method: GET, path: /}]}
`;
const large = Array.from({ length: 20_000 }, (_, at) => policy(`p${at}`))
  .join('---\n')
  .slice(0, 8 << 20);

describe('policies read away from the event loop', () => {
  const parsers: PolicyParser[] = [];
  const open = (bounds?: Parameters<typeof createPolicyParser>[1]) => {
    const parser = createPolicyParser(options, bounds);
    parsers.push(parser);
    return parser;
  };
  after(() => Promise.all(parsers.map((parser) => parser.close())));

  it('gives an engine the same as reading them there', async () => {
    const parser = open();
    const text = policy('web');
    const parsed = await parser.parse('web.yaml', text);
    assert.deepEqual(parsed, structuredClone(createFileParser(options)('web.yaml', text)));
    const endpoint = {
      id: 'web',
      labels: ['k8s:app=web'],
      addresses: ['10.0.0.1'],
      namedPorts: [],
      local: true,
    };
    const [here, there] = [createEngine(options), createEngine(options)];
    for (const engine of [here, there]) engine.apply([{ kind: 'set-endpoint', endpoint }]);
    here.apply([{ kind: 'set-file', file: 'web.yaml', text }]);
    there.apply([{ kind: 'set-parsed-file', file: 'web.yaml', parsed }]);
    assert.deepEqual([...there.state().slots.values()], [...here.state().slots.values()]);
    assert.deepEqual([...there.state().subjects.values()], [...here.state().subjects.values()]);
  });

  it('says where a file is broken', async () => {
    const { documents, problems } = await open().parse('a.yaml', 'kind: [');
    assert.equal(documents, null);
    assert.match(problems[0]?.message ?? '', /this is not YAML/);
  });

  it('gives up a file that takes too long', async () => {
    const parser = open({ deadlineMs: 5, memoryMib: 512 });
    const slow = await parser.parse('large.yaml', large);
    assert.deepEqual(
      slow.problems.map(({ message }) => message),
      ['reading it takes more than 0.005 s'],
    );
  });

  it('gives up a file that takes too much memory, and reads the next', async () => {
    const parser = open({ deadlineMs: 60_000, memoryMib: 24 });
    const { documents, problems } = await parser.parse('large.yaml', large);
    assert.equal(documents, null);
    assert.match(problems[0]?.message ?? '', /reading it takes more than 24 MiB of memory/);
    const next = await parser.parse('web.yaml', policy('web'));
    assert.deepEqual(next.problems, []);
  });
});
