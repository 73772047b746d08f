import {
  apiKeyName,
  carriesTopics,
  type L7Request,
  type L7Rule,
  type NamePattern,
  type PatternMatcher,
} from '@weir/l7-policy';
import { samplePattern, variants } from './sample-pattern.ts';

/** Requests that the rule lets through, few and simple; none where none could be made. */
export function sampleRequests(rule: L7Rule, patterns: PatternMatcher): readonly L7Request[] {
  return variants.flatMap((variant) => sampleRequest(rule, patterns, variant) ?? []);
}

function sampleRequest(rule: L7Rule, patterns: PatternMatcher, variant: number): L7Request | null {
  const text = (pattern: string | null, fallback: string): string | null => {
    if (pattern === null) return fallback;
    const sample = samplePattern(pattern, variant);
    return sample !== null && patterns.fullMatch(pattern, sample) ? sample : null;
  };
  switch (rule.kind) {
    case 'http': {
      const method = text(rule.method, 'GET');
      const path = text(rule.path, '/');
      const host = text(rule.host, '');
      if (method === null || path === null || host === null) return null;
      const wanted = [...rule.headers, ...rule.headerMatches.filter(({ mismatch }) => mismatch === 'FAIL')];
      return {
        kind: 'http',
        method,
        path,
        host,
        headers: wanted.map(({ name, value }) => [name, value || 'x']),
      };
    }
    case 'grpc': {
      const service = text(rule.service, 'any.Service');
      const method = text(rule.method, 'Any');
      return service === null || method === null ? null : { kind: 'grpc', service, method };
    }
    case 'kafka': {
      const apiKey = rule.apiKeys?.[Math.min(variant, rule.apiKeys.length - 1)] ?? 0;
      return {
        kind: 'kafka',
        apiKey,
        apiVersion: rule.apiVersion ?? 0,
        clientId: rule.clientId ?? '',
        topics: carriesTopics(apiKey) ? [rule.topic ?? 'any'] : [],
      };
    }
    case 'dns': {
      const name = sampleName(rule.match, patterns, variant);
      return name === null ? null : { kind: 'dns', name };
    }
    case 'tls': {
      const serverName = sampleName(rule.match, patterns, variant);
      return serverName === null ? null : { kind: 'tls', serverName, inner: null };
    }
    case 'listener':
    case 'generic':
      return null;
  }
}

function sampleName(match: NamePattern, patterns: PatternMatcher, variant: number): string | null {
  const name = match.kind === 'name' ? match.name : samplePattern(match.regex, variant);
  return name !== null && patterns.matchesName(match, name) ? name : null;
}

/** The request in a few words. */
export function requestText(request: L7Request): string {
  switch (request.kind) {
    case 'http': {
      const headers = request.headers.map(([name, value]) => ` ${name}: ${value}`).join('');
      return `${request.method} ${request.path}${request.host === '' ? '' : ` host ${request.host}`}${headers}`;
    }
    case 'grpc':
      return `gRPC ${request.service}/${request.method}`;
    case 'kafka':
      return `Kafka ${apiKeyName(request.apiKey)} v${request.apiVersion} ${request.topics.join(',')}`;
    case 'dns':
      return `DNS ${request.name}`;
    case 'tls':
      return `TLS ${request.serverName}`;
  }
}
