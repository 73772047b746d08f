import type { GrpcRule, HttpRule, L7Slot } from '@weir/l7-policy';
import type { CompileProblem } from '../resource.ts';
import { type Condition, condition, isProblem } from './condition.ts';
import type { Memory, Taken } from './memory.ts';

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
export function ruleSet(slots: readonly L7Slot[], memory: Memory): RuleSet | CompileProblem {
  const distinct = new Map<string, Condition>();
  for (const rule of slots.flatMap((slot) => slot.rules)) {
    if (rule.kind !== 'http' && rule.kind !== 'grpc') {
      return { message: `rules of kind ${rule.kind} cannot stand among HTTP rules`, rules: [rule.id] };
    }
    const taken = takeRemembered(rule, memory);
    if (taken === null) continue;
    if ('message' in taken) return { message: taken.message, rules: [taken.rule] };
    const present = distinct.get(taken.key);
    if (present === undefined || taken.condition.rule < present.rule)
      distinct.set(taken.key, taken.condition);
  }
  const sorted = [...distinct].sort(([left], [right]) => (left < right ? -1 : 1)).map(([, one]) => one);
  return {
    plain: sorted.filter((one) => one.actions.length === 0),
    acting: sorted.filter((one) => one.actions.length > 0),
  };
}

/** The content is part of the key: a wrong permission must not hang on the id being a good digest. */
function takeRemembered(rule: HttpRule | GrpcRule, memory: Memory): Taken {
  const known = memory.objects.get(rule);
  if (known !== undefined) return known.taken;
  const taken = memory.rules.of(content(rule), () => take(rule));
  memory.objects.set(rule, { taken });
  return taken;
}

/** Stands for no condition; no pattern holds it. */
const none = '\0';

function content(rule: HttpRule | GrpcRule): string {
  if (rule.kind === 'grpc') return `grpc\0${rule.id}\0${rule.service ?? none}\0${rule.method ?? none}`;
  const { id, path, method, host, headers, headerMatches } = rule;
  const patterns = `${id}\0${path ?? none}\0${method ?? none}\0${host ?? none}`;
  return headers.length === 0 && headerMatches.length === 0
    ? patterns
    : `${patterns}\0${JSON.stringify([headers, headerMatches])}`;
}

function take(rule: HttpRule | GrpcRule): Taken {
  const taken = condition(rule);
  if (taken === null || isProblem(taken)) return taken;
  const problem = headerProblem(taken);
  return problem === null ? { condition: taken, key: canonical(taken) } : { rule: rule.id, message: problem };
}

/** Two conditions with the same text test and do the same. */
function canonical({ method, path, host, headers, actions, named }: Condition): string {
  const patterns = `${path?.regex ?? ''}\0${method?.regex ?? ''}\0${host?.regex ?? ''}`;
  return headers.length === 0 && actions.length === 0
    ? patterns
    : `${patterns}\0${JSON.stringify([headers, actions, named])}`;
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
