// The probes of the conformance data against the programs: what the engine says of a connection, the kernel does.
import assert from 'node:assert/strict';
import { globSync, readFileSync } from 'node:fs';
import { basename, resolve } from 'node:path';
import { after, before, suite, test } from 'node:test';
import {
  type Engine,
  engineOfCase,
  flowOfProbe,
  type Identity,
  identity,
  type Probe,
  readPolicyTests,
  reservedIdentities,
} from '@weir/l7-policy';
import {
  endsOf,
  expectedOf,
  fullPrefix,
  type KernelUnderTest,
  openKernelUnderTest,
  wordOf,
} from './kernel-under-test.ts';
import { enterOwnNamespace } from './own-namespace.ts';

const interfaces = enterOwnNamespace(import.meta.filename);
const data = resolve(import.meta.dirname, '../../conformance/data');
type PolicyTestCase = Extract<ReturnType<typeof readPolicyTests>[number], { kind: 'case' }>;

/** Where the kernel is stricter on purpose. */
const deviations: ReadonlyMap<string, string> = new Map([
  [
    'icmp-deny-next-to-l3-allow:allowed:denied',
    'an ICMP answer that nobody asked for belongs to no connection, whatever policy says of its type',
  ],
]);

suite('conformance of the programs', () => {
  let kernel: KernelUnderTest;
  let judged = 0;
  before(() => {
    kernel = openKernelUnderTest(interfaces);
  });
  after(() => {
    kernel.close();
    console.log(`${judged} probes judged by the kernel`);
  });

  for (const file of globSync('*.yaml', { cwd: data }).sort()) {
    const cases = readPolicyTests(readFileSync(resolve(data, file), 'utf8'), file);
    test(basename(file, '.yaml'), () => {
      const faults = cases.flatMap((item) => {
        assert.equal(item.kind, 'case');
        return item.kind === 'case' && item.errors === null && !item.uncertain ? faultsOf(item) : [];
      });
      assert.deepEqual(faults, []);
    });
  }

  function faultsOf(written: PolicyTestCase): readonly string[] {
    const testCase = withAddresses(written);
    const engine = engineOfCase(testCase);
    return testCase.probes.flatMap((probe) => {
      const family = probe.protocol === 58 || isV6(probe.from) || isV6(probe.to) ? 'v6' : 'v4';
      const sides = [
        endOf(probe.from, family, testCase, engine),
        endOf(probe.to, family, testCase, engine),
      ] as const;
      const [from, to] = sides;
      const managed = new Set(testCase.endpoints.filter((item) => item.managed).map(({ name }) => name));
      const local = new Set<string>();
      if (probe.direction !== 'ingress' && managed.has(probe.from)) local.add(probe.from);
      if (probe.direction !== 'egress' && managed.has(probe.to)) local.add(probe.to);
      kernel.enforce(engine, local, new Map(sides.flatMap(({ known }) => known)));
      const explanation = engine.explain({ ...flowOfProbe(probe, engine), request: null });
      const expected = local.size === 0 ? 'not-judged' : expectedOf(explanation, engine.state());
      const seen = wordOf(kernel.verdict(endsOf(probe.protocol, from.address, to.address, probe.port)));
      judged += 1;
      return seen === expected || deviations.has(`${testCase.name}:${expected}:${seen}`)
        ? []
        : [
            `${testCase.name}:${probe.line}: ${probe.from} -> ${probe.to}: expected ${expected}, saw ${seen}: ${explanation.summary}`,
          ];
    });
  }

  function isV6(end: string): boolean {
    return end.startsWith('ip:') && end.includes(':', 3);
  }
});

/** Endpoints whose addresses do not matter to a case get some, of both families. */
function withAddresses(testCase: PolicyTestCase): PolicyTestCase {
  return {
    ...testCase,
    endpoints: testCase.endpoints.map((endpoint, index) => {
      const { addresses } = endpoint;
      const v4 = addresses.some((address) => !address.includes(':')) ? [] : [`10.250.0.${index + 1}`];
      const v6 = addresses.some((address) => address.includes(':')) ? [] : [`fd00:250::${index + 1}`];
      return { ...endpoint, addresses: [...addresses, ...v4, ...v6] };
    }),
  };
}

/** An address of a probe's end, and who it is where the engine does not know addresses of it. */
function endOf(
  end: Probe['from'],
  family: 'v4' | 'v6',
  { endpoints }: PolicyTestCase,
  engine: Engine,
): { readonly address: string; readonly known: readonly (readonly [string, Identity])[] } {
  if (end.startsWith('ip:')) return { address: end.slice(3), known: [] };
  if (!end.startsWith('reserved:')) {
    const addresses = endpoints.find(({ name }) => name === end)?.addresses;
    const address = addresses?.find((item) => item.includes(':') === (family === 'v6'));
    assert.ok(address !== undefined, `${end} has no ${family} address`);
    return { address, known: [] };
  }
  const name = end.slice('reserved:'.length);
  const reserved: Readonly<Record<string, Identity>> = reservedIdentities;
  const number = reserved[name] ?? strangerIdentity(end, engine);
  const address = family === 'v4' ? `172.31.0.${number % 250}` : `fd00:31::${number}`;
  return { address, known: [[fullPrefix(address), number]] };
}

/** An identity for labels that the engine has none for. */
function strangerIdentity(label: string, engine: Engine): Identity {
  const number = identity(60_000);
  engine.apply([{ kind: 'set-identity', identity: number, labels: [label] }]);
  return number;
}
