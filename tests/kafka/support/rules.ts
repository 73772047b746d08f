import { createEngine, type Engine, type KafkaRequest, type KafkaRule, type L7Slot } from '@weir/l7-policy';

/** Slots with these rules, as the engine reads them from a policy. `rules` is YAML of `rules.kafka`. */
export function slotsOf(rules: string): readonly L7Slot[] {
  return [...engineWith(rules).state().slots.values()];
}

/** Whether the engine allows a request to a broker under these rules. */
export function engineAllows(rules: string, request: KafkaRequest): boolean {
  const broker = { kind: 'endpoint', id: 'broker' } as const;
  const flow = { from: broker, to: broker, protocol: 6, port: 9092, request, direction: null };
  return engineWith(rules).explain(flow).verdict !== 'denied';
}

function engineWith(rules: string): Engine {
  const engine = createEngine({});
  engine.apply([
    {
      kind: 'set-endpoint',
      endpoint: {
        id: 'broker',
        labels: ['k8s:app=broker', 'k8s:io.kubernetes.pod.namespace=default'],
        addresses: ['10.0.0.1'],
        namedPorts: [],
        local: true,
      },
    },
  ]);
  const problems = engine.setFile(
    'rules.yaml',
    `apiVersion: cilium.io/v2
kind: CiliumNetworkPolicy
metadata: {name: kafka, namespace: default}
spec:
  endpointSelector: {matchLabels: {app: broker}}
  ingress:
  - toPorts:
    - ports: [{port: "9092", protocol: TCP}]
      rules: {kafka: ${rules}}
`,
  );
  if (engine.state().slots.size === 0) throw new Error(`no slots: ${JSON.stringify(problems)}`);
  return engine;
}

/** A slot that holds exactly these rules. */
export function slotWith(rules: readonly KafkaRule[]): L7Slot {
  const [slot] = slotsOf('[{topic: any}]');
  if (slot === undefined) throw new Error('no slot');
  return { ...slot, rules, digest: rules.map(({ id }) => id).join() };
}
