import { maskedValue } from '@weir/envoy-config';
import {
  createPatternMatcher,
  type Engine,
  type Explanation,
  type Flow,
  type PeerRef,
  reservedIdentities,
  reservedRef,
} from '@weir/l7-policy';
import { notServed } from '../api/status.ts';
import { parseFlowQuery } from './flow-query.ts';
import { type ProxyView, proxyView } from './proxy-view.ts';

/** An explanation, with what the proxy does to the request before rules see it. */
export interface QueryExplanation extends Explanation {
  /** Sentences about the request on its way through the proxy; empty when it stays as it is. */
  readonly proxy: readonly string[];
}

/** Answers a question. Throws an Error that says which word of it cannot be understood, or names nobody. */
export function explainQuery(engine: Engine, query: unknown): QueryExplanation {
  const { flow: asked, raw } = parseFlowQuery(query);
  const flow = { ...asked, from: findPeer(engine, asked.from), to: findPeer(engine, asked.to) };
  if (raw?.kind === 'unreadable') return explainRefused(engine, flow, 400, raw.why);
  const { request } = flow;
  const patterns = createPatternMatcher();
  const view: ProxyView | null =
    raw !== null
      ? proxyView(raw.head, patterns)
      : request?.kind === 'http'
        ? proxyView(
            { method: request.method, target: request.path, version: '', headers: request.headers },
            patterns,
          )
        : null;
  if (view === null) {
    const explanation = engine.explain(flow);
    return { ...explanation, proxy: unserved(engine, explanation) };
  }
  if (view.kind === 'refused') return explainRefused(engine, flow, view.status, view.why);
  const explanation = withoutSecrets(engine.explain({ ...flow, request: view.request }));
  const proxied = explanation.sides.some((side) => side.verdict.kind === 'l7');
  const notes = [...unserved(engine, explanation), ...(raw?.notes ?? [])];
  return { ...explanation, proxy: proxied ? [...notes, ...view.changes] : notes };
}

function withoutSecrets(explanation: Explanation): Explanation {
  const { headers, secretHeaders } = explanation;
  if (headers === null || secretHeaders.length === 0) return explanation;
  const hidden = new Set(secretHeaders);
  return {
    ...explanation,
    headers: headers.map(([name, value]) => [name, hidden.has(name.toLowerCase()) ? maskedValue : value]),
  };
}

/** Rules that this node refuses to serve, whatever they would allow. */
function unserved(engine: Engine, { sides }: Explanation): readonly string[] {
  const { sets } = engine.state();
  const kinds = sides.flatMap(({ verdict }) =>
    verdict.kind === 'l7' ? (sets.get(verdict.set)?.kind ?? []) : [],
  );
  return [...new Set(kinds)].flatMap((kind) => notServed(kind) ?? []);
}

/** The proxy refuses the request whatever the rules say; where no proxy is on the way, it does not. */
function explainRefused(engine: Engine, flow: Flow, status: number, why: string): QueryExplanation {
  const explanation = engine.explain({ ...flow, request: null });
  switch (explanation.verdict) {
    case 'denied':
      return { ...explanation, proxy: [] };
    case 'redirected':
      return {
        ...explanation,
        verdict: 'denied',
        summary: `refused by Envoy before any rule (${status}): ${why}`,
        proxy: [],
      };
    case 'allowed':
      return {
        ...explanation,
        proxy: [`no proxy is on the way; where one is, Envoy refuses the request (${status}): ${why}`],
      };
  }
}

/** Labels stand for the workloads of the node that have them, where those are of one identity. */
function findPeer(engine: Engine, peer: PeerRef): PeerRef {
  const { endpoints } = engine.state();
  if (peer.kind === 'endpoint' && !endpoints.has(peer.id)) {
    if (Object.hasOwn(reservedIdentities, peer.id)) {
      throw new Error(`no workload is called "${peer.id}"; did you mean reserved:${peer.id}?`);
    }
    throw new Error(`no workload is called "${peer.id}"; known: ${[...endpoints.keys()].sort().join(', ')}`);
  }
  if (peer.kind !== 'labels') return peer;
  const found = [...endpoints.values()].filter((endpoint) => {
    const labels = engine.labelsOf(endpoint.identity) ?? [];
    return peer.labels.every((label) => labels.includes(label));
  });
  const [first, ...others] = found;
  if (first === undefined) {
    const [label = '', ...more] = peer.labels;
    return label.startsWith('reserved:') && more.length === 0 ? reservedRef(engine, label) : peer;
  }
  if (others.some((endpoint) => endpoint.subject !== first.subject)) {
    throw new Error(
      `the labels ${peer.labels.join(',')} are those of several workloads that differ: ${found.map(({ id }) => id).join(', ')}`,
    );
  }
  return { kind: 'endpoint', id: first.id };
}
