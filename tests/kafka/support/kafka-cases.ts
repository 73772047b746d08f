import { globSync, readFileSync } from 'node:fs';
import { resolve } from 'node:path';
import { apiKeyByName, createEngine, type Engine, type KafkaRequest, type L7Slot } from '@weir/l7-policy';
import { parse } from 'yaml';

/** A probe of the conformance data with a Kafka request that a proxy judges. */
export interface KafkaProbe {
  readonly title: string;
  readonly request: KafkaRequest;
  readonly allowed: boolean;
  /** What the engine says. */
  readonly judged: boolean;
  /** The content of the class's two sides. */
  readonly egress: readonly L7Slot[] | null;
  readonly ingress: readonly L7Slot[] | null;
}

interface CaseText {
  readonly name: string;
  readonly uncertain?: boolean;
  readonly endpoints?: Record<string, { labels: Record<string, string>; ips?: string[] }>;
  readonly policies?: string;
  readonly probes?: readonly ProbeText[];
}

interface ProbeText {
  readonly from: string;
  readonly to: string;
  readonly port: number;
  readonly kafka?: {
    apiKey: string | number;
    apiVersion?: number;
    clientId?: string;
    topic?: string;
    topics?: string[];
  };
  readonly verdict: string;
}

const data = resolve(import.meta.dirname, '../../conformance/data');

/** Every Kafka probe that layers 3 and 4 hand to a proxy. */
export function kafkaProbes(): readonly KafkaProbe[] {
  return globSync('*.yaml', { cwd: data })
    .sort()
    .flatMap((file) => {
      const { cases }: { cases?: readonly CaseText[] } = parse(readFileSync(resolve(data, file), 'utf8'));
      return (cases ?? []).filter((each) => each.uncertain !== true).flatMap(probesOf);
    });
}

function probesOf(text: CaseText): readonly KafkaProbe[] {
  const probes = (text.probes ?? []).filter(({ kafka }) => kafka !== undefined);
  if (probes.length === 0) return [];
  const engine = createEngine({});
  engine.apply(
    Object.entries(text.endpoints ?? {}).map(([id, { labels, ips = [] }]) => ({
      kind: 'set-endpoint' as const,
      endpoint: {
        id,
        labels: Object.entries(labels).map(([key, value]) => `${key}=${value}`),
        addresses: ips,
        namedPorts: [],
        local: true,
      },
    })),
  );
  engine.setFile('case.yaml', text.policies ?? '');
  return probes.flatMap((probe) => probeOf(engine, text.name, probe));
}

function probeOf(engine: Engine, name: string, probe: ProbeText): readonly KafkaProbe[] {
  const { apiKey, apiVersion = 0, clientId = '', topic, topics } = probe.kafka ?? { apiKey: 0 };
  const key = typeof apiKey === 'number' ? apiKey : apiKeyByName(apiKey);
  if (key === null) throw new Error(`${name}: no API ${apiKey}`);
  const request: KafkaRequest = {
    kind: 'kafka',
    apiKey: key,
    apiVersion,
    clientId,
    topics: topics ?? (topic === undefined ? [] : [topic]),
  };
  const explanation = engine.explain({
    from: { kind: 'endpoint', id: probe.from },
    to: { kind: 'endpoint', id: probe.to },
    protocol: 6,
    port: probe.port,
    request,
    direction: null,
  });
  const { sets, slots } = engine.state();
  const side = (direction: 'egress' | 'ingress'): readonly L7Slot[] | null => {
    const verdict = explanation.sides.find((each) => each.direction === direction)?.verdict;
    if (verdict?.kind !== 'l7') return null;
    return (sets.get(verdict.set)?.slots ?? []).flatMap((id) => slots.get(id) ?? []);
  };
  const [egress, ingress] = [side('egress'), side('ingress')];
  if (egress === null && ingress === null) return [];
  return [
    {
      title: `${name}: ${JSON.stringify(probe.kafka)}`,
      request,
      allowed: probe.verdict === 'allowed',
      judged: explanation.verdict !== 'denied',
      egress,
      ingress,
    },
  ];
}
