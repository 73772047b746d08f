import { judgeRequest, type RequestVerdict } from '../judge/judge-request.ts';
import { lookupVerdict } from '../judge/lookup-verdict.ts';
import { rewriteHeaders } from '../judge/match-http.ts';
import type { PatternMatcher } from '../judge/match-patterns.ts';
import type { Grant, Peer, PortMatch, Rule } from '../model/policy.ts';
import { type Prefix, parseAddress, truncatePrefix } from '../net/prefix.ts';
import type {
  Explanation,
  Flow,
  FlowVerdict,
  PeerRef,
  RuleNote,
  SideExplanation,
} from '../types/explanation.ts';
import type { NamedPort } from '../types/fact.ts';
import { type Identity, reservedIdentities } from '../types/identity.ts';
import type { RuleId } from '../types/l7-rule.ts';
import type { SourceRef } from '../types/source-ref.ts';
import type {
  ClassId,
  Direction,
  DirectionId,
  DirectionPolicy,
  L7Set,
  L7SetId,
  L7Slot,
  SlotId,
} from '../types/subject-policy.ts';
import { describePeers, describePorts } from './describe-grant.ts';
import { portsNamed } from './direction-rules.ts';
import type { IdentityRow } from './identity-table.ts';
import type { PeerFacts } from './peer-facts.ts';
import { codeContains, portCode, portCodes } from './port-code.ts';
import { matchesPeer } from './selector-cache.ts';
import { classId, kindsAgree } from './set-registry.ts';
import type { Subject } from './subject.ts';

/** What explaining needs to know of the engine. */
export interface ExplainView {
  readonly facts: PeerFacts;
  readonly patterns: PatternMatcher;
  row(identity: Identity): IdentityRow | undefined;
  rowWithLabels(labels: readonly string[]): IdentityRow | undefined;
  endpoint(id: string): { readonly row: IdentityRow; readonly subject: Subject | null } | undefined;
  identityOf(prefix: string): Identity | undefined;
  /** The rule as it stands in its document now, with its latest places. */
  rulesOf(subject: Subject): readonly Rule[];
  direction(id: DirectionId): DirectionPolicy | undefined;
  set(id: L7SetId): L7Set | undefined;
  slot(id: SlotId): L7Slot | undefined;
  sourceOf(rule: RuleId): SourceRef | undefined;
}

interface End {
  readonly name: string;
  readonly row: IdentityRow | undefined;
  readonly subject: Subject | null;
}

/** Judges a flow by the compiled policies, as the kernel and the proxy would, and says which rules had a part. */
export function explainFlow(flow: Flow, view: ExplainView): Explanation {
  const from = findEnd(flow.from, view);
  const to = findEnd(flow.to, view);
  const sides: SideExplanation[] = [];
  const verdicts: RequestVerdict[] = [];
  if (flow.direction !== 'ingress') sides.push(explainSide('egress', from, to, flow, view, verdicts));
  if (flow.direction !== 'egress') sides.push(explainSide('ingress', to, from, flow, view, verdicts));
  const l7 = sides.map((side) => (side.verdict.kind === 'l7' ? view.set(side.verdict.set) : undefined));
  const [first, second] = l7.filter((set) => set !== undefined);
  const clash = first !== undefined && second !== undefined && !kindsAgree(first.kind, second.kind);
  const denied =
    clash ||
    sides.some((side) => side.verdict.kind === 'deny') ||
    verdicts.some((verdict) => !verdict.allowed);
  const verdict: FlowVerdict = denied
    ? 'denied'
    : first !== undefined && flow.request === null
      ? 'redirected'
      : 'allowed';
  const matches = denied ? [] : verdicts.flatMap(({ headerMatches }) => headerMatches);
  return {
    verdict,
    summary: clash
      ? `denied: the two sides need different proxies (${first.kind} and ${second.kind})`
      : summarize(verdict, sides),
    sides,
    classId: first === undefined ? null : flowClass(sides),
    headers: flow.request?.kind === 'http' ? rewriteHeaders(matches, flow.request.headers) : null,
    secretHeaders: [...new Set(matches.filter(({ secret }) => secret).map(({ name }) => name.toLowerCase()))],
  };
}

function flowClass(sides: readonly SideExplanation[]): ClassId {
  const setOf = (direction: Direction) => {
    const verdict = sides.find((side) => side.direction === direction)?.verdict;
    return verdict?.kind === 'l7' ? verdict.set : null;
  };
  return classId(setOf('egress'), setOf('ingress'));
}

function findEnd(ref: PeerRef, view: ExplainView): End {
  switch (ref.kind) {
    case 'endpoint': {
      const endpoint = view.endpoint(ref.id);
      return { name: ref.id, row: endpoint?.row, subject: endpoint?.subject ?? null };
    }
    case 'identity': {
      const row = view.row(ref.identity);
      return { name: row?.labels.join(',') ?? `identity ${ref.identity}`, row, subject: null };
    }
    case 'labels':
      return { name: ref.labels.join(','), row: view.rowWithLabels(ref.labels), subject: null };
    case 'address': {
      const prefix = parseAddress(ref.address);
      const identity = prefix === null ? undefined : longestMatch(prefix, view);
      return {
        name: ref.address,
        row: identity === undefined ? undefined : view.row(identity),
        subject: null,
      };
    }
  }
}

function longestMatch(prefix: Prefix, view: ExplainView): Identity | undefined {
  for (let length = prefix.length; length >= 0; length--) {
    const identity = view.identityOf(truncatePrefix(prefix, length));
    if (identity !== undefined) return identity;
  }
  return reservedIdentities.world;
}

function explainSide(
  direction: Direction,
  subject: End,
  peer: End,
  flow: Flow,
  view: ExplainView,
  verdicts: RequestVerdict[],
): SideExplanation {
  const named = subject.subject?.policy?.[direction] ?? null;
  const policy = named === null ? undefined : view.direction(named);
  if (subject.subject === null || policy === undefined) {
    const text =
      subject.subject === null
        ? `${subject.name} is no endpoint of this node: no policy applies to its ${direction}`
        : `no rule that selects ${subject.name} restricts its ${direction}`;
    return {
      direction,
      subject: subject.name,
      enforced: false,
      enforcedBy: [],
      entry: null,
      verdict: { kind: 'allow' },
      notes: [],
      text,
    };
  }
  const identity = peer.row?.identity ?? reservedIdentities.world;
  const { entry, verdict } = lookupVerdict(policy, {
    peer: identity,
    protocol: flow.protocol,
    port: flow.port,
  });
  const notes = grantNotes(subject.subject, peer, direction, flow, view);
  if (verdict.kind === 'l7' && flow.request !== null) {
    const set = view.set(verdict.set);
    const slots = (set?.slots ?? []).flatMap((id) => view.slot(id) ?? []);
    if (set !== undefined) {
      const judged = judgeRequest(set, slots, flow.request, view.patterns);
      verdicts.push(judged);
      notes.push(...requestNotes(judged, view));
    }
  }
  const text = sideText(verdict.kind, subject.name, peer, direction, notes);
  const enforcedBy = view
    .rulesOf(subject.subject)
    .flatMap((rule) => (rule[direction] === 'default-deny' ? [rule.source] : []));
  return { direction, subject: subject.name, enforced: true, enforcedBy, entry, verdict, notes, text };
}

function sideText(
  kind: 'allow' | 'deny' | 'l7',
  subject: string,
  peer: End,
  direction: Direction,
  notes: readonly RuleNote[],
): string {
  const other = direction === 'ingress' ? `from ${peer.name}` : `to ${peer.name}`;
  if (kind === 'allow') return `${direction} of ${subject} ${other} is allowed`;
  if (kind === 'l7') return `${direction} of ${subject} ${other} goes through the proxy`;
  return notes.some((note) => note.effect === 'denies')
    ? `${direction} of ${subject} ${other} is denied by a rule`
    : `${direction} of ${subject} ${other} is allowed by no rule`;
}

/** Which grants say something about the flow; where none does, which came nearest. */
function grantNotes(
  subject: Subject,
  peer: End,
  direction: Direction,
  flow: Flow,
  view: ExplainView,
): RuleNote[] {
  const notes: RuleNote[] = [];
  const near: RuleNote[] = [];
  for (const rule of view.rulesOf(subject)) {
    for (const grant of rule.grants) {
      if (grant.direction !== direction) continue;
      const chosen = grant.peers.some((item) => item.kind === 'any' || selects(item, peer, view.facts));
      const covered = grant.ports.some((port) =>
        covers(port, direction, subject.namedPorts, peer, flow, view.facts),
      );
      if (chosen && covered) notes.push(grantNote(grant));
      else if (grant.effect === 'allow' && (chosen || covered)) {
        const what = chosen
          ? `takes ${peer.name}, but only on ${describePorts(grant.ports)}`
          : `is for this port, but takes ${describePeers(grant.peers)}`;
        near.push({ source: grant.source, rule: null, effect: 'nearest', text: what });
      }
    }
  }
  return notes.length > 0 ? notes : near.slice(0, 3);
}

function grantNote(grant: Grant): RuleNote {
  const effect = grant.effect === 'deny' ? 'denies' : grant.slot === null ? 'allows' : 'asks-proxy';
  const whom = `${describePeers(grant.peers)} on ${describePorts(grant.ports)}`;
  const text =
    effect === 'denies'
      ? `denies ${whom}`
      : effect === 'allows'
        ? `allows ${whom}`
        : `allows ${whom}, subject to its ${grant.slot?.kind} rules`;
  return { source: grant.slot?.source ?? grant.source, rule: null, effect, text };
}

function selects(peer: Exclude<Peer, { kind: 'any' }>, end: End, facts: PeerFacts): boolean {
  return end.row !== undefined && matchesPeer(peer, end.row, facts);
}

function covers(
  port: PortMatch,
  direction: Direction,
  namedPorts: readonly NamedPort[],
  peer: End,
  flow: Flow,
  facts: PeerFacts,
): boolean {
  const wanted = portCode(flow.protocol, flow.port, 16);
  if (port.kind !== 'named') return portCodes(port).some((code) => codeContains(code, wanted));
  if (!port.protocols.includes(flow.protocol)) return false;
  if (direction === 'ingress') return portsNamed(namedPorts, port.name, flow.protocol).includes(flow.port);
  const condition = { name: port.name, protocol: flow.protocol, port: flow.port };
  return peer.row !== undefined && facts.hasNamedPort(peer.row.index, condition);
}

function requestNotes(verdict: RequestVerdict, view: ExplainView): RuleNote[] {
  const note = (rule: RuleId, effect: RuleNote['effect'], text: string): RuleNote[] => {
    const source = view.sourceOf(rule);
    return source === undefined ? [] : [{ source, rule, effect, text }];
  };
  if (verdict.allowed) {
    return verdict.matched.flatMap(({ rule, actions }) =>
      note(rule, 'matches', ['matches the request', ...actions].join('; ')),
    );
  }
  const { nearest } = verdict;
  return nearest === null ? [] : note(nearest.rule, 'nearest', nearest.missed.join('; '));
}

function summarize(verdict: FlowVerdict, sides: readonly SideExplanation[]): string {
  const place = ({ file, line, column }: SourceRef) => `${file}:${line}:${column}`;
  const told = (wanted: readonly RuleNote['effect'][]) =>
    sides.flatMap((side) => side.notes).find((note) => wanted.includes(note.effect));
  if (verdict === 'denied') {
    const deny = told(['denies']);
    if (deny !== undefined) return `denied by ${place(deny.source)}`;
    const nearest = told(['nearest']);
    return nearest === undefined
      ? 'allowed by no rule'
      : `allowed by no rule; nearest: ${place(nearest.source)}, ${nearest.text}`;
  }
  if (verdict === 'redirected') {
    const proxy = told(['asks-proxy']);
    return proxy === undefined
      ? 'goes through the proxy'
      : `goes through the proxy, by ${place(proxy.source)}`;
  }
  const note = told(['matches']) ?? told(['allows']);
  if (note !== undefined) return `allowed by ${place(note.source)}`;
  return sides.some(({ enforcedBy }) => enforcedBy.length > 0)
    ? 'allowed: the node itself reaches its workloads, unless a rule denies it'
    : 'allowed: nothing restricts it';
}
