import { globSync, readFileSync } from 'node:fs';
import { basename, resolve } from 'node:path';
import {
  createEngine,
  type Engine,
  type Explanation,
  type HttpRequest,
  type L7Slot,
  type PeerRef,
} from '@weir/l7-policy';
import { parse } from 'yaml';

/** A probe of the conformance data with a request that a proxy judges. */
export interface ProxiedProbe {
  readonly title: string;
  readonly request: HttpRequest;
  readonly allowed: boolean;
  /** Header expectations of an allowed request; null: the header must be absent. */
  readonly headers: ReadonlyMap<string, string | null>;
  /** The content of the class's two sides. */
  readonly egress: readonly L7Slot[] | null;
  readonly ingress: readonly L7Slot[] | null;
}

interface CaseText {
  readonly name: string;
  readonly uncertain?: boolean;
  readonly errors?: unknown;
  readonly endpoints?: Record<
    string,
    { labels: Record<string, string>; ips?: string[]; namedPorts?: Record<string, string>; managed?: boolean }
  >;
  readonly secrets?: Record<string, string>;
  readonly dnsCache?: Record<string, string[]>;
  readonly policies?: string;
  readonly probes?: readonly ProbeText[];
}

interface ProbeText {
  readonly from: string;
  readonly to: string;
  readonly port: number;
  readonly perspective?: 'egress' | 'ingress';
  readonly http?: { method?: string; path?: string; host?: string; headers?: Record<string, string> };
  readonly tls?: unknown;
  readonly verdict: string;
  readonly expect?: { headers?: Record<string, string>; absentHeaders?: string[] };
}

const tcp = 6;
const data = resolve(import.meta.dirname, '../../conformance/data');

/** Every HTTP probe that layers 3 and 4 hand to a proxy. */
export function proxiedProbes(): readonly ProxiedProbe[] {
  return globSync('*.yaml', { cwd: data })
    .sort()
    .flatMap((file) => {
      const { cases }: { cases: readonly CaseText[] } = parse(readFileSync(resolve(data, file), 'utf8'));
      return cases
        .filter((each) => each.uncertain !== true && each.errors === undefined)
        .flatMap((each) => probesOf(each, basename(file, '.yaml')));
    });
}

function probesOf(text: CaseText, file: string): readonly ProxiedProbe[] {
  const probes = (text.probes ?? []).filter(({ http, tls }) => http !== undefined && tls === undefined);
  if (probes.length === 0) return [];
  const engine = engineOf(text);
  return probes.flatMap((probe): readonly ProxiedProbe[] => {
    const request = requestOf(probe);
    const explanation = engine.explain({
      from: peer(probe.from),
      to: peer(probe.to),
      protocol: tcp,
      port: probe.port,
      request,
      direction: probe.perspective ?? null,
    });
    const [egress, ingress] = [side(engine, explanation, 'egress'), side(engine, explanation, 'ingress')];
    if (egress === 'denied' || ingress === 'denied' || (egress === null && ingress === null)) return [];
    const { headers = {}, absentHeaders = [] } = probe.expect ?? {};
    return [
      {
        title: `${file}: ${text.name}: ${request.method} ${request.path} ${request.host} ${JSON.stringify(request.headers)}`,
        request,
        allowed: probe.verdict === 'allowed',
        headers: new Map([
          ...Object.entries(headers).map(([name, value]) => [name.toLowerCase(), value] as const),
          ...absentHeaders.map((name) => [name.toLowerCase(), null] as const),
        ]),
        egress,
        ingress,
      },
    ];
  });
}

function engineOf({ endpoints = {}, secrets = {}, dnsCache = {}, policies = '' }: CaseText): Engine {
  const engine = createEngine({});
  engine.apply([
    ...Object.entries(secrets).map(([secret, value]) => {
      const [namespace = '', name = ''] = secret.split('/');
      return { kind: 'set-secret', namespace, name, value } as const;
    }),
    ...Object.entries(dnsCache).map(([name, addresses]) => ({ kind: 'set-dns', name, addresses }) as const),
    ...Object.entries(endpoints).map(([id, { labels, ips = [], namedPorts = {}, managed = true }]) => ({
      kind: 'set-endpoint' as const,
      endpoint: {
        id,
        labels: Object.entries(labels).map(([key, value]) => `${key}=${value}`),
        addresses: ips,
        namedPorts: Object.entries(namedPorts).map(([name, port]) => ({
          name,
          port: Number.parseInt(port, 10),
          protocol: 'TCP' as const,
        })),
        local: managed,
      },
    })),
  ]);
  engine.setFile('case.yaml', policies);
  return engine;
}

/** The content of a side's rules; null: it has none; `denied`: it never comes to a proxy. */
function side(
  engine: Engine,
  { sides }: Explanation,
  direction: 'egress' | 'ingress',
): readonly L7Slot[] | null | 'denied' {
  const verdict = sides.find((each) => each.direction === direction)?.verdict ?? { kind: 'allow' };
  if (verdict.kind === 'deny') return 'denied';
  if (verdict.kind === 'allow') return null;
  const { sets, slots } = engine.state();
  const set = sets.get(verdict.set);
  if (set?.kind !== 'http') return 'denied';
  return set.slots.flatMap((id) => slots.get(id) ?? []);
}

function requestOf({ http = {} }: ProbeText): HttpRequest {
  return {
    kind: 'http',
    method: http.method ?? 'GET',
    path: http.path ?? '/',
    host: http.host ?? 's',
    headers: Object.entries(http.headers ?? {}),
  };
}

function peer(text: string): PeerRef {
  if (text.startsWith('ip:')) return { kind: 'address', address: text.slice('ip:'.length) };
  return text.startsWith('reserved:') ? { kind: 'labels', labels: [text] } : { kind: 'endpoint', id: text };
}
