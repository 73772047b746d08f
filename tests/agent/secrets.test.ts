import assert from 'node:assert/strict';
import { mkdirSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, it } from 'node:test';
import { agentOptions, createSecretSource, explainQuery } from '@weir/agent';
import { createEngine, type Engine } from '@weir/l7-policy';
import { temporaryFolder } from '../run-name.ts';

const policy = `
apiVersion: cilium.io/v2
kind: CiliumNetworkPolicy
metadata: {name: tokens, namespace: shop}
spec:
  endpointSelector: {}
  ingress:
  - toPorts:
    - ports: [{port: "80", protocol: TCP}]
      rules:
        http:
        - {path: /file, headerMatches: [{name: X-Token, secret: {name: token}}]}
        - {path: /variable, headerMatches: [{name: X-Token, secret: {namespace: lab, name: a.b}}]}
`;

describe('secrets', () => {
  let directory = '';
  let engine: Engine;
  const problems: string[] = [];
  const closers: (() => void)[] = [];

  beforeEach(() => {
    directory = temporaryFolder('secrets');
    engine = createEngine({});
    engine.apply([
      {
        kind: 'set-endpoint',
        endpoint: {
          id: 'a',
          labels: ['k8s:io.kubernetes.pod.namespace=shop'],
          addresses: ['10.0.0.1'],
          namedPorts: [],
          local: true,
        },
      },
    ]);
    engine.setFile('a.yaml', policy);
  });
  afterEach(() => {
    for (const close of closers.splice(0)) close();
    rmSync(directory, { recursive: true });
    problems.length = 0;
  });

  function source(...secretEnv: readonly string[]) {
    const { secretDirectory, secretVariables } = agentOptions(
      { secrets: directory, secretEnv },
      { TOKEN: 'from the environment' },
    );
    const made = createSecretSource({
      directory: secretDirectory,
      variables: secretVariables,
      change: async (facts) => engine.apply(facts),
      onProblem: (path, reason) => problems.push(`${path}: ${reason}`),
      onError: (error) => problems.push(String(error)),
    });
    closers.push(made.close);
    return made;
  }

  function values(): readonly (string | null | undefined)[] {
    return [...engine.state().slots.values()].flatMap(({ rules }) =>
      rules.map((rule) => (rule.kind === 'http' ? rule.headerMatches[0]?.value : undefined)),
    );
  }

  it('come from files and from the environment, and go when their file goes', async () => {
    const secrets = source('lab/a.b=TOKEN');
    assert.deepEqual(values(), [null, null]);
    writeFileSync(join(directory, 'shop.token'), 's3cret\n');
    writeFileSync(join(directory, '.hidden'), 'x');
    writeFileSync(join(directory, 'no-dot'), 'x');
    await secrets.scan();
    assert.deepEqual(values(), ['s3cret', 'from the environment']);
    writeFileSync(join(directory, 'shop.token'), 'changed');
    await secrets.scan();
    assert.deepEqual(values(), ['changed', 'from the environment']);
    rmSync(join(directory, 'shop.token'));
    await secrets.scan();
    assert.deepEqual(values(), [null, 'from the environment']);
    assert.deepEqual(problems, []);
  });

  it('keep their last value while their file cannot be read', async () => {
    const secrets = source();
    writeFileSync(join(directory, 'shop.token'), 's3cret');
    await secrets.scan();
    writeFileSync(join(directory, 'shop.token'), Buffer.alloc(17 * 1024 * 1024));
    await secrets.scan();
    assert.deepEqual(values(), ['s3cret', null]);
    assert.equal(problems.length, 1);
    mkdirSync(join(directory, 'shop.folder'));
    await secrets.scan();
    assert.equal(problems.length, 1);
  });

  it('are not shown by an explanation', async () => {
    writeFileSync(join(directory, 'shop.token'), 's3cret');
    await source().scan();
    engine.setFile('a.yaml', policy.replace('headerMatches: [{', 'headerMatches: [{mismatch: REPLACE, '));
    const { verdict, headers } = explainQuery(engine, {
      from: '192.0.2.1',
      to: 'a',
      port: '80',
      http: 'GET /file',
      headers: ['x-other: 1'],
    });
    assert.equal(verdict, 'allowed');
    assert.deepEqual(headers, [
      ['x-other', '1'],
      ['X-Token', '***'],
    ]);
  });

  it('are refused at the start when they cannot be had', () => {
    assert.throws(
      () => source('shop/token=NONE'),
      /--secret-env shop\/token=NONE: the environment has no NONE/,
    );
    assert.throws(() => source('token=TOKEN'), /--secret-env token=TOKEN: expected NAMESPACE\/NAME=VARIABLE/);
  });
});
