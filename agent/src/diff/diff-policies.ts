import { createPatternMatcher, type Engine, type L7Request } from '@weir/l7-policy';
import { findParties, type Party } from './party.ts';
import { createPolicyView, type FlowState, type Judgement, type PolicyView } from './policy-view.ts';
import { joined, type PortRange, pieces, portText, protocols } from './port-ranges.ts';
import { requestText, sampleRequests } from './sample-request.ts';

/** Connections, or one request on them, whose verdict is not what it was. */
export interface FlowChange {
  readonly from: readonly string[];
  readonly to: readonly string[];
  /** `80/TCP`, `any/UDP`. */
  readonly ports: string;
  /** A request that shows the change; null: the connection itself, or rules of which no example was found. */
  readonly request: string | null;
  readonly before: FlowState;
  readonly after: FlowState;
  /** What decides now, with its place. */
  readonly why: string;
}

const requestsPerRange = 20;

/** Every flow between the workloads, and between them and the prefixes that policies name, whose verdict changes. */
export function diffPolicies(before: Engine, after: Engine): readonly FlowChange[] {
  const parties = findParties(before, after);
  const versions: Versions = {
    before: { engine: before, view: createPolicyView(before.state()) },
    after: { engine: after, view: createPolicyView(after.state()) },
  };
  return parties.flatMap((from) =>
    parties.filter((to) => isPair(from, to)).flatMap((to) => diffPair(from, to, versions)),
  );
}

interface Version {
  readonly engine: Engine;
  readonly view: PolicyView;
}

interface Versions {
  readonly before: Version;
  readonly after: Version;
}

/** A workload's connections to itself do not pass the kernel's hooks, nor do those between two outside. */
function isPair(from: Party, to: Party): boolean {
  if (from.ref.kind === 'address' && to.ref.kind === 'address') return false;
  return from !== to || from.names.length > 1;
}

interface Piece {
  readonly range: PortRange;
  readonly before: Judgement;
  readonly after: Judgement;
}

function diffPair(from: Party, to: Party, versions: Versions): FlowChange[] {
  const signature = (version: 'before' | 'after') =>
    versions[version].view.signature(from[version], to[version]);
  if (signature('before') === signature('after')) return [];
  const judge = (version: 'before' | 'after', range: PortRange) =>
    versions[version].view.judge(from[version], to[version], range);
  const entries = (['before', 'after'] as const).flatMap((version) =>
    versions[version].view.entries(from[version], to[version]),
  );
  const all = protocols.flatMap((protocol) =>
    pieces(protocol, entries).map(
      (range): Piece => ({ range, before: judge('before', range), after: judge('after', range) }),
    ),
  );
  const merged = joined(all, (a, b) => a.before.key === b.before.key && a.after.key === b.after.key);
  const changed = merged.filter((piece) => piece.before.key !== piece.after.key);
  const [first] = changed;
  const alike = changed.every(
    (piece) => piece.before.key === first?.before.key && piece.after.key === first?.after.key,
  );
  if (
    first !== undefined &&
    alike &&
    merged.length === protocols.length &&
    changed.length === merged.length
  ) {
    return diffPiece(from, to, first, 'any', versions);
  }
  return changed.flatMap((piece) => diffPiece(from, to, piece, portText(piece.range), versions));
}

function diffPiece(from: Party, to: Party, piece: Piece, ports: string, versions: Versions): FlowChange[] {
  const ask = (version: Version, request: L7Request | null) =>
    version.engine.explain({
      from: from.ref,
      to: to.ref,
      protocol: piece.range.protocol,
      port: piece.range.low,
      request,
      direction: null,
    });
  const base = { from: from.names, to: to.names, ports };
  const { before, after } = piece;
  const connection: FlowChange = {
    ...base,
    request: null,
    before: before.state,
    after: after.state,
    why: ask(versions.after, null).summary,
  };
  if (before.state !== 'rules' || after.state !== 'rules') return [connection];
  const patterns = createPatternMatcher();
  const seen = new Set<string>();
  const requests = [...versions.before.view.slots(before), ...versions.after.view.slots(after)]
    .flatMap(({ rules }) => rules)
    .flatMap((rule) => sampleRequests(rule, patterns))
    .flatMap((request): FlowChange[] => {
      const text = requestText(request);
      if (seen.has(text)) return [];
      seen.add(text);
      const was = ask(versions.before, request);
      const is = ask(versions.after, request);
      if (was.verdict === is.verdict || was.verdict === 'redirected' || is.verdict === 'redirected')
        return [];
      return [{ ...base, request: text, before: was.verdict, after: is.verdict, why: is.summary }];
    })
    .slice(0, requestsPerRange);
  return requests.length > 0
    ? requests
    : [{ ...connection, why: 'other rules apply; no example of a request that they treat differently' }];
}
