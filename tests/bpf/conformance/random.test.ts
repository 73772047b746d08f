// Random policies and probes: the rules read one by one (the model), the engine and the programs must agree.
// WEIR_PROPERTY_POLICIES says how many policies, at the least as many probes.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { createEngine, type EngineChange, reservedIdentities } from '@weir/l7-policy';
import fc from 'fast-check';
import { endpoints, flowOf, policies, probesOf, setEndpoint, setFile } from '../../l7-policy/model-world.ts';
import {
  type ModelEndpoint,
  type ModelPeer,
  type ModelPolicy,
  type ModelProbe,
  modelVerdict,
} from '../../l7-policy/policy-model.ts';
import { endsOf, expectedOf, fullPrefix, openKernelUnderTest, wordOf } from './kernel-under-test.ts';
import { enterOwnNamespace } from './own-namespace.ts';

const interfaces = enterOwnNamespace(import.meta.filename);
const wanted = Number(process.env['WEIR_PROPERTY_POLICIES'] ?? '2000');
/** Probes of one world: many worlds rather than many probes. */
const probesOfWorld = 12;

const hosts = { host: '172.31.0.1', 'remote-node': '172.31.0.6' } as const;
const reserved = new Map(
  Object.entries(hosts).map(([name, address]) => [
    fullPrefix(address),
    reservedIdentities[name as keyof typeof hosts],
  ]),
);

interface Question {
  readonly pod: ModelEndpoint;
  readonly direction: 'ingress' | 'egress';
  readonly probe: ModelProbe;
}

test(`${wanted} random policies and probes`, () => {
  const kernel = openKernelUnderTest(interfaces);
  let judged = 0;
  let written = 0;
  let worlds = 0;
  try {
    const world = fc.tuple(policies, endpoints, fc.nat());
    // Shrinking runs the property again: a failure shows the smallest world that has it.
    fc.assert(
      fc.property(world, ([docs, pods, seed]) => {
        if (Math.min(judged, written) >= wanted) return;
        worlds += 1;
        written += docs.length;
        judged += judge(docs, pods, seed);
      }),
      { numRuns: wanted + 100 },
    );
  } finally {
    kernel.close();
  }
  const done = `${written} policies and ${judged} probes in ${worlds} worlds`;
  assert.ok(Math.min(judged, written) >= wanted, done);
  console.log(done);

  function judge(docs: readonly ModelPolicy[], pods: readonly ModelEndpoint[], seed: number): number {
    const engine = createEngine();
    engine.apply([...pods.map(withV6), ...docs.map(setFile)]);
    let count = 0;
    let local = '';
    for (const question of pick(pods, seed)) {
      const { pod, direction, probe } = question;
      if (pod.id !== local) kernel.enforce(engine, new Set([pod.id]), reserved);
      local = pod.id;
      const peer = addressOf(probe.peer);
      const asked = flowOf(pod, direction, probe);
      const echoV6 = probe.protocol === 'ICMP' && peer.includes(':');
      const flow = echoV6 ? { ...asked, protocol: 58, port: 128 } : asked;
      const explanation = engine.explain(flow);
      const own = peer.includes(':') ? v6Of(pod) : pod.address;
      // One side alone is asked: a pod that is its own peer has both.
      if (peer === own) continue;
      const [from, to] = direction === 'egress' ? [own, peer] : [peer, own];
      const seen = wordOf(kernel.verdict(endsOf(flow.protocol, from, to, flow.port)));
      assert.equal(
        explanation.verdict,
        modelVerdict(docs, pod, direction, probe),
        'the model and the engine',
      );
      assert.equal(
        seen,
        expectedOf(explanation, engine.state()),
        `${JSON.stringify(flow)}: ${explanation.summary}`,
      );
      count += 1;
    }
    return count;
  }
});

/** Some of a world's probes, other ones for each world. */
function pick(pods: readonly ModelEndpoint[], seed: number): readonly Question[] {
  const all = pods.flatMap((pod) =>
    (['ingress', 'egress'] as const).flatMap((direction) =>
      [...probesOf(pods)]
        .filter(({ http }) => http === null)
        .map((probe): Question => ({ pod, direction, probe })),
    ),
  );
  const step = Math.max(1, Math.floor(all.length / probesOfWorld));
  const chosen = all.filter((_, index) => index % step === seed % step);
  // By endpoint, so that the kernel is brought to each once.
  return chosen.sort((left, right) => left.pod.id.localeCompare(right.pod.id));
}

function withV6(pod: ModelEndpoint): EngineChange {
  const fact = setEndpoint(pod);
  if (fact.kind !== 'set-endpoint') return fact;
  const { endpoint } = fact;
  return { ...fact, endpoint: { ...endpoint, addresses: [...endpoint.addresses, v6Of(pod)] } };
}

function v6Of({ address }: ModelEndpoint): string {
  return `fd00:10::${address.split('.').at(-1)}`;
}

function addressOf(peer: ModelPeer): string {
  switch (peer.kind) {
    case 'endpoint':
      return peer.endpoint.address;
    case 'address':
      return peer.address;
    case 'reserved':
      return hosts[peer.name];
  }
}
