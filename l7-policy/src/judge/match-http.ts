import type { GrpcRule, HeaderMatch, HttpRule } from '../types/l7-rule.ts';
import type { HttpRequest } from '../types/request.ts';
import type { PatternMatcher } from './match-patterns.ts';

export type Headers = readonly (readonly [name: string, value: string])[];

/** One condition of a rule and whether the request meets it. */
export interface ConditionResult {
  readonly met: boolean;
  /** What was asked and what was there, for people. */
  readonly text: string;
  /** How far off a request is that does not meet it; people change headers before they change paths. */
  readonly cost: number;
}

/** Costs of conditions that are not met. */
export const costs = { near: 1, header: 1, other: 2, method: 2, path: 4, protocol: 8 } as const;

/** Every condition of an HTTP rule with its outcome. The rule matches when all are met. */
export function httpConditions(
  rule: HttpRule,
  request: HttpRequest,
  patterns: PatternMatcher,
): ConditionResult[] {
  const results: ConditionResult[] = [];
  const pattern = (name: string, wanted: string | null, texts: readonly string[]) => {
    if (wanted === null) return;
    const met = texts.some((text) => patterns.fullMatch(wanted, text));
    results.push({
      met,
      text: `${name} \`${texts[0] ?? ''}\` ${met ? 'matches' : 'does not match'} \`${wanted}\``,
      cost: name === 'path' ? costs.path : costs.method,
    });
  };
  pattern('method', rule.method, [request.method]);
  pattern('path', rule.path, [request.path]);
  pattern('host', rule.host, [request.host, request.host.replace(/:[0-9]+$/, '')]);
  for (const { name, value } of rule.headers) {
    const found = headerValue(request.headers, name);
    const met = found !== null && (value === null || found === value);
    results.push({
      met,
      text: met ? `header ${name} is there` : headerText(name, value, found),
      cost: costs.header,
    });
  }
  for (const match of rule.headerMatches) {
    const found = headerValue(request.headers, match.name);
    // A match that acts asks for nothing but its secret.
    if (match.value !== null && match.mismatch !== 'FAIL') continue;
    const met = match.value !== null && headerAgrees(match, found);
    results.push({
      met,
      text: met ? `header ${match.name} is as asked` : secretText(match, found),
      cost: costs.header,
    });
  }
  return results;
}

function headerText(name: string, value: string | null, found: string | null): string {
  const wanted = value === null ? 'any value' : `\`${value}\``;
  return found === null
    ? `header ${name} is missing (wanted: ${wanted})`
    : `header ${name} is \`${found}\`, not ${wanted}`;
}

function secretText(match: HeaderMatch, found: string | null): string {
  if (match.value === null) return `the secret for header ${match.name} is not known`;
  return found === null ? `header ${match.name} is missing` : `header ${match.name} has another value`;
}

function headerAgrees(match: HeaderMatch, found: string | null): boolean {
  return match.value === '' ? found !== null : found === match.value;
}

/** Values of a header of that name, joined as HTTP joins them; null when there is none. */
export function headerValue(headers: Headers, name: string): string | null {
  const values = headers
    .filter(([key]) => key.toLowerCase() === name.toLowerCase())
    .map(([, value]) => value);
  return values.length === 0 ? null : values.join(',');
}

/**
 * The headers after what the headerMatches of all matching rules do to them. Each looks at the headers as they
 * came; then DELETE goes before REPLACE and REPLACE before ADD, each by name and value, equal ones once.
 */
export function rewriteHeaders(matches: readonly HeaderMatch[], headers: Headers): Headers {
  const changes = new Map<string, readonly [name: string, value: string]>();
  for (const match of matches) {
    const { name, value, mismatch } = match;
    const order = rewriteOrder[mismatch];
    if (order === undefined || value === null || headerAgrees(match, headerValue(headers, name))) continue;
    changes.set(JSON.stringify([order, name.toLowerCase(), value]), [name, value]);
  }
  let result = headers;
  for (const [key, change] of [...changes].sort(([left], [right]) => (left < right ? -1 : 1))) {
    const [name] = change;
    const others = result.filter(([other]) => other.toLowerCase() !== name.toLowerCase());
    if (key.startsWith(`[${rewriteOrder.DELETE}`)) result = others;
    else if (key.startsWith(`[${rewriteOrder.REPLACE}`)) result = [...others, change];
    else result = [...result, change];
  }
  return result;
}

/** What a match does to a request with these headers, for people; null: nothing. */
export function headerAction(match: HeaderMatch, headers: Headers): string | null {
  const { name, value, mismatch } = match;
  if (mismatch === 'FAIL' || value === null || headerAgrees(match, headerValue(headers, name))) return null;
  const verbs = { LOG: 'logs', ADD: 'adds', DELETE: 'removes', REPLACE: 'replaces' } as const;
  return `${verbs[mismatch]} header ${name}`;
}

const rewriteOrder: Readonly<Partial<Record<HeaderMatch['mismatch'], number>>> = {
  DELETE: 0,
  REPLACE: 1,
  ADD: 2,
};

/** Every condition of a gRPC rule with its outcome, for the HTTP request that carries the call. */
export function grpcConditions(
  rule: GrpcRule,
  request: HttpRequest,
  patterns: PatternMatcher,
): ConditionResult[] {
  const call = /^\/([^/?]+)\/([^/?]+)$/.exec(request.path);
  const type = headerValue(request.headers, 'content-type') ?? '';
  const isCall = request.method === 'POST' && call !== null && type.startsWith('application/grpc');
  if (!isCall) return [{ met: false, text: 'the request is no gRPC call', cost: costs.protocol }];
  const [, service = '', method = ''] = call;
  const check = (name: 'service' | 'method', wanted: string | null, text: string): ConditionResult[] => {
    if (wanted === null) return [];
    const met = patterns.fullMatch(wanted, text);
    return [
      {
        met,
        text: `gRPC ${name} \`${text}\` ${met ? 'matches' : 'does not match'} \`${wanted}\``,
        cost: name === 'service' ? costs.path : costs.method,
      },
    ];
  };
  return [...check('service', rule.service, service), ...check('method', rule.method, method)];
}
