import { asksForAllTopics } from '../model/kafka-api.ts';
import { normalizeName } from '../parse/name-pattern.ts';
import type {
  GrpcRule,
  HeaderMatch,
  HttpRule,
  KafkaRule,
  L7Rule,
  RuleId,
  TlsRule,
} from '../types/l7-rule.ts';
import type { GrpcRequest, HttpRequest, L7Request } from '../types/request.ts';
import type { L7Set, L7Slot } from '../types/subject-policy.ts';
import { type ConditionResult, costs, grpcConditions, headerAction, httpConditions } from './match-http.ts';
import { judgeKafkaRequest, kafkaConditions } from './match-kafka.ts';
import type { PatternMatcher } from './match-patterns.ts';

/** How a request fared with the slots of one set. */
export interface RequestVerdict {
  readonly allowed: boolean;
  /** The rules that let it through: the first, all that a Kafka request of several topics needs, and all that act. */
  readonly matched: readonly MatchedRule[];
  /** The rule that came nearest to a refused request, with what it missed. */
  readonly nearest: { readonly rule: RuleId; readonly missed: readonly string[] } | null;
  /** What all rules that match do to the headers of a request that is let through. */
  readonly headerMatches: readonly HeaderMatch[];
}

export interface MatchedRule {
  readonly rule: RuleId;
  /** What its headerMatches do to the request, for people. */
  readonly actions: readonly string[];
}

const passes: RequestVerdict = { allowed: true, matched: [], nearest: null, headerMatches: [] };

/** Judges a request by one side's set: OR of its slots. */
export function judgeRequest(
  set: L7Set,
  slots: readonly L7Slot[],
  request: L7Request,
  patterns: PatternMatcher,
): RequestVerdict {
  const rules = slots.flatMap((slot) => slot.rules);
  switch (set.kind) {
    case 'http':
      return request.kind === 'http' || request.kind === 'grpc'
        ? judgeHttp(rules, asHttp(request), patterns)
        : refused(rules, `a ${request.kind} request is no HTTP`);
    case 'kafka':
      return request.kind === 'kafka'
        ? judgeKafka(
            rules.filter((rule) => rule.kind === 'kafka'),
            request,
          )
        : refused(rules, `a ${request.kind} request is no Kafka request`);
    case 'dns':
      return request.kind === 'dns'
        ? judgeDns(rules, request.name, patterns)
        : refused(rules, `a ${request.kind} request is no DNS query`);
    case 'tls':
      return judgeTls(slots, request, patterns);
    case 'listener':
      // What the listener does is its own affair; server names are not.
      return rules.some((rule) => rule.kind === 'tls') ? judgeTls(slots, request, patterns) : passes;
    case 'generic':
      return refused(rules, 'no proxy serves l7proto');
  }
}

/** The HTTP request that carries a gRPC call. */
export function asHttp(request: HttpRequest | GrpcRequest): HttpRequest {
  if (request.kind === 'http') return request;
  return {
    kind: 'http',
    method: 'POST',
    path: `/${request.service}/${request.method}`,
    host: '',
    headers: [['content-type', 'application/grpc']],
  };
}

/** No rule could match: the first stands for all. */
function refused(rules: readonly L7Rule[], why: string): RequestVerdict {
  const [first] = rules;
  const nearest = first === undefined ? null : { rule: first.id, missed: [why] };
  return { allowed: false, matched: [], nearest, headerMatches: [] };
}

function judgeHttp(rules: readonly L7Rule[], request: HttpRequest, patterns: PatternMatcher): RequestVerdict {
  const candidates: Candidate[] = [];
  const matching: (HttpRule | GrpcRule)[] = [];
  for (const rule of rules) {
    if (rule.kind !== 'http' && rule.kind !== 'grpc') continue;
    const conditions =
      rule.kind === 'http'
        ? httpConditions(rule, request, patterns)
        : grpcConditions(rule, request, patterns);
    if (conditions.every(({ met }) => met)) matching.push(rule);
    else candidates.push({ rule: rule.id, conditions: withHints(rule, conditions, request, patterns) });
  }
  const [first] = matching;
  if (first === undefined) {
    return { allowed: false, matched: [], nearest: pickNearest(candidates), headerMatches: [] };
  }
  const matched = matching.map((rule): MatchedRule => {
    const matches = rule.kind === 'http' ? rule.headerMatches : [];
    return { rule: rule.id, actions: matches.flatMap((match) => headerAction(match, request.headers) ?? []) };
  });
  return {
    allowed: true,
    matched: matched.filter(({ actions }, index) => index === 0 || actions.length > 0),
    nearest: null,
    headerMatches: matching.flatMap((rule) => (rule.kind === 'http' ? rule.headerMatches : [])),
  };
}

function plain(rule: RuleId): MatchedRule {
  return { rule, actions: [] };
}

interface Candidate {
  readonly rule: RuleId;
  readonly conditions: readonly ConditionResult[];
}

/** The rule whose unmet conditions cost least, then the one with the most met ones. */
function pickNearest(candidates: readonly Candidate[]): RequestVerdict['nearest'] {
  const missed = (item: Candidate) => item.conditions.filter(({ met }) => !met);
  const met = (item: Candidate) => item.conditions.length - missed(item).length;
  const cost = (item: Candidate) => missed(item).reduce((sum, condition) => sum + condition.cost, 0);
  const [best] = [...candidates].sort((a, b) => cost(a) - cost(b) || met(b) - met(a));
  return best === undefined ? null : { rule: best.rule, missed: missed(best).map(({ text }) => text) };
}

/** Says when a path would match without its query, or with a slash more or less. */
function withHints(
  rule: L7Rule,
  conditions: readonly ConditionResult[],
  request: HttpRequest,
  patterns: PatternMatcher,
): readonly ConditionResult[] {
  if (rule.kind !== 'http' || rule.path === null) return conditions;
  const { path } = rule as HttpRule & { path: string };
  const [bare = ''] = request.path.split('?', 1);
  const query = request.path.slice(bare.length);
  const other = bare.endsWith('/') ? bare.slice(0, -1) : `${bare}/`;
  const slash = bare.endsWith('/') ? 'without the trailing slash' : 'with a trailing slash';
  const variants: readonly (readonly [string, string])[] = [
    [bare, 'it would without the query string'],
    [`${other}${query}`, `it would ${slash}`],
    [other, `it would without the query string and ${slash}`],
  ];
  const hint = variants.find(([text]) => text !== request.path && patterns.fullMatch(path, text));
  if (hint === undefined) return conditions;
  return conditions.map((item) =>
    !item.met && item.text.startsWith('path ')
      ? { met: false, text: `${item.text}; ${hint[1]}`, cost: costs.near }
      : item,
  );
}

function judgeKafka(
  rules: readonly KafkaRule[],
  request: Extract<L7Request, { kind: 'kafka' }>,
): RequestVerdict {
  const { allowed, deciding, refusedTopics } = judgeKafkaRequest(rules, request);
  if (allowed)
    return { allowed, matched: deciding.map(({ id }) => plain(id)), nearest: null, headerMatches: [] };
  const results = rules.map((rule) => ({ rule, conditions: kafkaConditions(rule, request) }));
  const topicText =
    refusedTopics.length === 0
      ? 'the request asks for all topics'
      : `no rule allows topic \`${refusedTopics.join('`, `')}\``;
  const candidates = results.map(({ rule, conditions }) => ({
    rule: rule.id,
    conditions:
      asksForAllTopics(request.apiKey) || refusedTopics.length > 0
        ? [...conditions, { met: false, text: topicText, cost: costs.near }]
        : conditions,
  }));
  return { allowed: false, matched: [], nearest: pickNearest(candidates), headerMatches: [] };
}

function judgeDns(rules: readonly L7Rule[], name: string, patterns: PatternMatcher): RequestVerdict {
  const asked = normalizeName(name);
  const dns = rules.filter((rule) => rule.kind === 'dns');
  const rule = dns.find(({ match }) => patterns.matchesName(match, asked));
  if (rule !== undefined) {
    return { allowed: true, matched: [plain(rule.id)], nearest: null, headerMatches: [] };
  }
  const candidates = dns.map(({ id, match }) => ({
    rule: id,
    conditions: [
      {
        met: false,
        text: `name \`${asked}\` does not match \`${match.kind === 'name' ? match.name : match.pattern}\``,
        cost: costs.near,
      },
    ],
  }));
  return { allowed: false, matched: [], nearest: pickNearest(candidates), headerMatches: [] };
}

/**
 * Server names of all slots together are mandatory where any slot names some. A slot without HTTP rules allows
 * every request inside.
 */
function judgeTls(slots: readonly L7Slot[], request: L7Request, patterns: PatternMatcher): RequestVerdict {
  const names = slots.flatMap((slot) => slot.rules).filter((rule): rule is TlsRule => rule.kind === 'tls');
  const serverName = request.kind === 'tls' ? normalizeName(request.serverName) : '';
  const named = names.find(({ match }) => patterns.matchesName(match, serverName));
  if (names.length > 0 && named === undefined) {
    const wanted = names.map(({ match }) => (match.kind === 'name' ? match.name : match.pattern)).join(', ');
    const missed =
      serverName === ''
        ? `the connection sends no server name; wanted: ${wanted}`
        : `server name \`${serverName}\` is not one of ${wanted}`;
    return {
      allowed: false,
      matched: [],
      nearest: { rule: names[0]?.id ?? ('' as RuleId), missed: [missed] },
      headerMatches: [],
    };
  }
  const matched = named === undefined ? [] : [plain(named.id)];
  const inner =
    request.kind === 'tls'
      ? request.inner
      : request.kind === 'http' || request.kind === 'grpc'
        ? request
        : null;
  const open = slots.some((slot) => !slot.rules.some((rule) => rule.kind === 'http' || rule.kind === 'grpc'));
  if (open || inner === null) return { allowed: true, matched, nearest: null, headerMatches: [] };
  const verdict = judgeHttp(
    slots.flatMap((slot) => slot.rules),
    asHttp(inner),
    patterns,
  );
  return { ...verdict, matched: [...matched, ...verdict.matched] };
}
