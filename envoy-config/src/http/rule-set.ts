import type { L7Slot } from '@weir/l7-policy';
import type { CompileProblem } from '../resource.ts';
import { type Condition, condition, isProblem } from './condition.ts';

/** The rules of one side of a class, each once, in an order that does not depend on where they came from. */
export interface RuleSet {
  /** Rules that only allow. */
  readonly plain: readonly Condition[];
  /** Rules that also act on headers. */
  readonly acting: readonly Condition[];
}

/** Header names that Envoy lets nobody change, and what no HTTP header name may hold (RFC 9110, 5.6.2). */
const headerName = /^[!#$%&'*+.^_`|~0-9a-z-]+$/;
const headerValue = /^[^\0\r\n]*$/;

/** Takes the rules of all slots together; refuses what the proxy would not take. */
export function ruleSet(slots: readonly L7Slot[]): RuleSet | CompileProblem {
  const distinct = new Map<string, Condition>();
  for (const rule of slots.flatMap((slot) => slot.rules)) {
    if (rule.kind !== 'http' && rule.kind !== 'grpc') {
      return { message: `rules of kind ${rule.kind} cannot stand among HTTP rules`, rules: [rule.id] };
    }
    const parsed = condition(rule);
    if (parsed === null) continue;
    if (isProblem(parsed)) return { message: parsed.message, rules: [parsed.rule] };
    const problem = headerProblem(parsed);
    if (problem !== null) return { message: problem, rules: [parsed.rule] };
    const key = canonical(parsed);
    const present = distinct.get(key);
    if (present === undefined || parsed.rule < present.rule) distinct.set(key, parsed);
  }
  const sorted = [...distinct].sort(([left], [right]) => (left < right ? -1 : 1)).map(([, one]) => one);
  return {
    plain: sorted.filter((one) => one.actions.length === 0),
    acting: sorted.filter((one) => one.actions.length > 0),
  };
}

/** Two conditions with the same text test and do the same. */
function canonical({ method, path, host, headers, actions }: Condition): string {
  const patterns = `${path?.regex ?? ''}\0${method?.regex ?? ''}\0${host?.regex ?? ''}`;
  return headers.length === 0 && actions.length === 0
    ? patterns
    : `${patterns}\0${JSON.stringify([headers, actions])}`;
}

function headerProblem({ headers, actions }: Condition): string | null {
  for (const { name, value } of [...headers, ...actions]) {
    const text = typeof value === 'string' ? value : 'text' in value ? value.text : '';
    if (name !== ':path' && !headerName.test(name)) return `"${name}" is no name of an HTTP header`;
    if (!headerValue.test(text)) return `the value for header "${name}" holds a line break or zero byte`;
  }
  const fixed = actions.find((action) => action.name === 'host' && action.kind !== 'log');
  return fixed === undefined ? null : 'the proxy cannot add, delete or replace the header "host"';
}
