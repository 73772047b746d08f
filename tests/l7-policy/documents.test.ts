import assert from 'node:assert/strict';
import { suite, test } from 'node:test';
import { createEngine, type Engine, type EngineUpdate } from '@weir/l7-policy';

const header = 'apiVersion: cilium.io/v2\nkind: CiliumNetworkPolicy\nmetadata:\n  name: web\n';

function problemsOf(text: string): string[] {
  return createEngine()
    .setFile('p.yaml', text)
    .problems.map(
      ({ severity, file, line, column, message, hint }) =>
        `${severity} ${file}:${line}:${column}: ${message}${hint === null ? '' : ` (${hint})`}`,
    );
}

suite('problems name file, line and column, and what to do', () => {
  const cases: readonly [name: string, text: string, problem: string][] = [
    [
      'unknown field with a suggestion',
      `${header}spec:\n  endpointSelector: {}\n  ingress:\n  - fromEndpoint: []\n`,
      'error p.yaml:8:5: unknown field "fromEndpoint" in ingress[] (did you mean "fromEndpoints"?)',
    ],
    [
      'bad YAML',
      'spec: [1\nkind: x\n',
      'error p.yaml:2:1: this is not YAML: Flow sequence in block collection must be sufficiently indented and end with a ]',
    ],
    [
      'a key that stands twice',
      `${header}spec:\n  endpointSelector: {}\n  endpointSelector: {}\n`,
      'error p.yaml:7:3: the key "endpointSelector" stands twice',
    ],
    [
      'invalid regex',
      `${header}spec:\n  endpointSelector: {}\n  ingress:\n  - toPorts:\n    - ports: [{port: "80", protocol: TCP}]\n      rules: {http: [{path: "(/a"}]}\n`,
      'error p.yaml:10:29: rules.http[].path is not a valid RE2 pattern: error parsing regexp: missing closing ): `(/a`',
    ],
    [
      'tiers and priorities',
      `${header}spec:\n  endpointSelector: {}\n  priority: 3\n  ingress: [{}]\n`,
      'error p.yaml:7:3: spec has "priority": tiers, priorities and pass of Cilium 1.20 are not supported yet (remove the field; deny rules always come before allow rules)',
    ],
    [
      'mutual authentication',
      `${header}spec:\n  endpointSelector: {}\n  ingress:\n  - authentication: {mode: required}\n    fromEndpoints: [{}]\n`,
      'error p.yaml:8:21: authentication mode "required" is not supported (only "disabled" can be kept)',
    ],
    [
      'another kind',
      'apiVersion: v1\nkind: Pod\n',
      'error p.yaml:2:7: documents of kind "Pod" are not policies (CiliumNetworkPolicy, CiliumClusterwideNetworkPolicy, NetworkPolicy, CiliumCIDRGroup or a list of rules)',
    ],
    [
      'a label that is no text',
      `${header}spec:\n  endpointSelector: {matchLabels: {tier: 1}}\n  ingress: [{}]\n`,
      'error p.yaml:6:42: endpointSelector.matchLabels["tier"] must be a text, not a number (put it in quotes)',
    ],
    [
      'an empty list of L7 rules',
      `${header}spec:\n  endpointSelector: {}\n  ingress:\n  - toPorts:\n    - ports: [{port: "80", protocol: TCP}]\n      rules: {http: []}\n`,
      'warning p.yaml:10:15: the list of L7 rules is empty: the ports are open on L4 (remove it, or write a rule)',
    ],
  ];
  for (const [name, text, problem] of cases) {
    test(name, () => assert.deepEqual(problemsOf(text), [problem]));
  }
});

function policy(name: string, port: number, extra = ''): string {
  return `apiVersion: cilium.io/v2
kind: CiliumNetworkPolicy
metadata:
  name: ${name}
spec:
  endpointSelector: {matchLabels: {app: srv}}
  ingress:
  - toPorts:
    - ports: [{port: "${port}", protocol: TCP}]
${extra}`;
}

function withServer(): Engine {
  const engine = createEngine();
  for (const [id, app, address] of [
    ['srv', 'srv', '10.0.0.1'],
    ['cli', 'cli', '10.0.0.2'],
  ] as const) {
    const labels = [`k8s:app=${app}`, 'k8s:io.kubernetes.pod.namespace=default'];
    engine.apply([
      { kind: 'set-endpoint', endpoint: { id, labels, addresses: [address], namedPorts: [], local: true } },
    ]);
  }
  return engine;
}

function open(engine: Engine): number[] {
  return [80, 81, 82, 83].filter(
    (port) =>
      engine.explain({
        from: { kind: 'endpoint', id: 'cli' },
        to: { kind: 'endpoint', id: 'srv' },
        protocol: 6,
        port,
        direction: null,
        request: null,
      }).verdict === 'allowed',
  );
}

suite('what is refused leaves the last good version in force', () => {
  test('a document that does not parse keeps its own, others in the file change', () => {
    const engine = withServer();
    engine.setFile('p.yaml', `${policy('a', 80)}---\n${policy('b', 81)}`);
    assert.deepEqual(open(engine), [80, 81]);
    const update = engine.setFile('p.yaml', `${policy('a', 82, '      bad: 1\n')}---\n${policy('b', 83)}`);
    assert.deepEqual(open(engine), [80, 83]);
    assert.equal(update.problems.length, 1);
    assert.deepEqual(engine.problems(), update.problems);
  });

  test('a file that is no YAML keeps everything', () => {
    const engine = withServer();
    engine.setFile('p.yaml', policy('a', 80));
    const { delta, problems } = engine.setFile('p.yaml', 'a: [');
    assert.equal(problems.length > 0, true);
    assert.deepEqual(open(engine), [80]);
    assert.deepEqual(delta.subjects, { added: [], changed: [], removed: [] });
  });

  test('a document without a readable name keeps those that it could be', () => {
    const engine = withServer();
    engine.setFile('p.yaml', `${policy('a', 80)}---\n${policy('b', 81)}`);
    engine.setFile('p.yaml', `${policy('a', 82)}---\n${policy('b', 83).replace('name: b', 'nam: b')}`);
    assert.deepEqual(open(engine), [81, 82]);
  });

  test('a document that is gone from its file goes, and so do those of a removed file', () => {
    const engine = withServer();
    engine.setFile('p.yaml', `${policy('a', 80)}---\n${policy('b', 81)}`);
    engine.setFile('p.yaml', policy('b', 81));
    assert.deepEqual(open(engine), [81]);
    engine.removeFile('p.yaml');
    assert.deepEqual(open(engine), [80, 81, 82, 83]);
    assert.deepEqual(engine.problems(), []);
  });

  test('a name that stands in two files counts once, and both places are told', () => {
    const engine = withServer();
    engine.setFile('one.yaml', policy('a', 80));
    const { problems } = engine.setFile('two.yaml', policy('a', 81));
    assert.deepEqual(open(engine), [80]);
    assert.deepEqual(
      problems.map(({ file, line, message }) => [file, line, message]),
      [['two.yaml', 1, '"default/a" stands in one.yaml already; this one is not used']],
    );
  });

  test('conflicting parsers refuse the document that brings them in, naming both', () => {
    const engine = withServer();
    engine.setFile('http.yaml', policy('a', 80, '      rules: {http: [{method: GET}]}\n'));
    const { problems } = engine.setFile(
      'kafka.yaml',
      policy('b', 80, '      rules: {kafka: [{topic: t}]}\n'),
    );
    assert.deepEqual(
      problems.map(({ file, line, column, message }) => `${file}:${line}:${column}: ${message}`),
      [
        'kafka.yaml:10:15: cannot merge conflicting L7 parsers: kafka rules of default/b here and ' +
          'http rules of default/a (http.yaml:10:15) are for the same endpoints, peers and port',
      ],
    );
    assert.equal(
      [...engine.state().slots.values()].every((slot) => slot.kind === 'http'),
      true,
    );
  });
});

suite('edits change what they must and nothing else', () => {
  const l7 = (rules: string) => policy('a', 80, `      rules: {http: [${rules}]}\n`);
  const counts = ({ delta }: EngineUpdate) => ({
    subjects: delta.subjects.added.length + delta.subjects.changed.length + delta.subjects.removed.length,
    directions:
      delta.directions.added.length + delta.directions.changed.length + delta.directions.removed.length,
    slots: [delta.slots.added.length, delta.slots.changed.length, delta.slots.removed.length],
    sets: delta.sets.added.length + delta.sets.removed.length,
    classes: delta.classes.added.length + delta.classes.removed.length,
  });
  const nothing = { subjects: 0, directions: 0, slots: [0, 0, 0], sets: 0, classes: 0 };

  test('a rule inside a slot changes the slot in place', () => {
    const engine = withServer();
    engine.setFile('p.yaml', l7('{path: /a}'));
    const update = engine.setFile('p.yaml', l7('{path: /b}'));
    assert.deepEqual(counts(update), { ...nothing, slots: [0, 1, 0] });
  });

  test('a comment changes nothing but where rules are said to stand', () => {
    const engine = withServer();
    engine.setFile('p.yaml', l7('{path: /a}'));
    assert.deepEqual(counts(engine.setFile('p.yaml', `# new\n${l7('{path: /a}')}`)), nothing);
    const [slot] = engine.state().slots.values();
    const [rule] = slot?.rules ?? [];
    assert.deepEqual(
      engine.sourcesOf(rule!.id).map(({ line, column, policy: name }) => [line, column, name]),
      [[11, 22, 'default/a']],
    );
  });

  test('a port changes entries and makes another slot, set and class', () => {
    const engine = withServer();
    engine.setFile('p.yaml', l7('{path: /a}'));
    const update = engine.setFile('p.yaml', l7('{path: /a}').replace('"80"', '"81"'));
    assert.deepEqual(counts(update), { subjects: 1, directions: 2, slots: [1, 0, 1], sets: 2, classes: 2 });
  });

  test('a secret changes the slots that name it', () => {
    const engine = withServer();
    engine.setFile('p.yaml', l7('{headerMatches: [{name: X-Key, secret: {namespace: default, name: s}}]}'));
    const value = () => {
      const rule = [...engine.state().slots.values()][0]?.rules[0];
      return rule?.kind === 'http' ? rule.headerMatches[0]?.value : undefined;
    };
    assert.equal(value(), null);
    const set = (text: string | null) =>
      engine.apply([{ kind: 'set-secret', namespace: 'default', name: 's', value: text }]);
    assert.deepEqual(counts(set('42')), { ...nothing, slots: [0, 1, 0] });
    assert.equal(value(), '42');
    assert.deepEqual(counts(set('42')), nothing);
    set(null);
    assert.equal(value(), null);
  });
});

test('classes are the pairs of sets that can meet on the node', () => {
  const engine = withServer();
  engine.setFile('in.yaml', policy('in', 80, '      rules: {http: [{path: /a}]}\n'));
  const kinds = () =>
    [...engine.state().classes.values()]
      .map(({ egress, ingress }) => [egress !== null, ingress !== null])
      .sort();
  assert.deepEqual(kinds(), [[false, true]]);
  const out = (port: number) =>
    policy('out', port, '      rules: {http: [{method: GET}]}\n')
      .replace('app: srv', 'app: cli')
      .replace('ingress', 'egress');
  engine.setFile('out.yaml', out(80));
  assert.deepEqual(kinds(), [
    [false, true],
    [true, false],
    [true, true],
  ]);
  // On another port the two never meet.
  engine.setFile('out.yaml', out(81));
  assert.deepEqual(kinds(), [
    [false, true],
    [true, false],
  ]);
});
