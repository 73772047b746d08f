import type { GrpcRule, HttpRule } from '@weir/l7-policy';
import { regexCost } from '../regex/cost.ts';
import { type RegexShape, regexShape } from '../regex/shape.ts';

/** A pattern that must match a whole text. */
export interface Pattern {
  /** RE2. */
  readonly regex: string;
  readonly shape: RegexShape;
  /** Instructions of the compiled program, which is what a match costs in the worst case. */
  readonly instructions: number;
}

/** A header (or pseudo header) must be there and its value, several joined by a comma, must be so. */
export interface HeaderTest {
  /** Lower case. */
  readonly name: string;
  readonly value:
    | { readonly kind: 'any' }
    | { readonly kind: 'exact'; readonly text: string }
    | { readonly kind: 'prefix'; readonly text: string }
    | { readonly kind: 'regex'; readonly regex: string };
}

/** What to do with a header that lacks the wanted value; the request passes either way. */
export interface HeaderAction {
  readonly kind: 'log' | 'add' | 'delete' | 'replace';
  /** Lower case. */
  readonly name: string;
  /** The wanted value; '' only asks for presence. */
  readonly value: string;
}

/** A header of which a rule says something; each request's value is logged. */
export interface NamedHeader {
  /** Lower case. */
  readonly name: string;
  /** The rule compares it with a secret. */
  readonly secret: boolean;
}

/** One rule as the proxy tests it: all parts must hold; null is no condition. */
export interface Condition {
  readonly rule: string;
  readonly method: Pattern | null;
  readonly path: Pattern | null;
  /** Matches `:authority` with or without its port. */
  readonly host: Pattern | null;
  /** Sorted, each once. */
  readonly headers: readonly HeaderTest[];
  /** Sorted, each once. */
  readonly actions: readonly HeaderAction[];
  readonly named: readonly NamedHeader[];
}

/** A regex that the proxy must not be given. */
export interface ConditionProblem {
  readonly rule: string;
  readonly message: string;
}

/** One pattern may cost this many instructions; past it RE2 would run out of its own memory limit. */
const maxInstructions = 5_000;

/**
 * Turns a rule into what the proxy tests. null: the rule can match nothing (it needs a secret that
 * is not there), so it allows nothing.
 */
export function condition(rule: HttpRule | GrpcRule): Condition | ConditionProblem | null {
  try {
    return rule.kind === 'grpc' ? grpcCondition(rule) : httpCondition(rule);
  } catch (error) {
    return { rule: rule.id, message: error instanceof Error ? error.message : String(error) };
  }
}

/** Tells a condition from a problem. */
export function isProblem(value: Condition | ConditionProblem): value is ConditionProblem {
  return 'message' in value;
}

function httpCondition(rule: HttpRule): Condition | null {
  const headers: HeaderTest[] = rule.headers.map(({ name, value }) => ({
    name: name.toLowerCase(),
    value: value === null ? { kind: 'any' } : { kind: 'exact', text: value },
  }));
  const actions: HeaderAction[] = [];
  for (const { name, value, mismatch } of rule.headerMatches) {
    if (value === null) return null;
    const lower = name.toLowerCase();
    switch (mismatch) {
      case 'FAIL':
        headers.push({ name: lower, value: value === '' ? { kind: 'any' } : { kind: 'exact', text: value } });
        break;
      case 'LOG':
        actions.push({ kind: 'log', name: lower, value });
        break;
      case 'ADD':
        actions.push({ kind: 'add', name: lower, value });
        break;
      case 'DELETE':
        actions.push({ kind: 'delete', name: lower, value });
        break;
      case 'REPLACE':
        actions.push({ kind: 'replace', name: lower, value });
        break;
    }
  }
  return {
    rule: rule.id,
    method: pattern(rule.method),
    path: pattern(rule.path),
    host: rule.host === null ? null : hostPattern(rule.host),
    headers: distinct(headers),
    actions: distinct(actions),
    named: distinct([...rule.headers.map(plainName), ...rule.headerMatches.map(secretName)]),
  };
}

const plainName = ({ name }: HttpRule['headers'][number]): NamedHeader => ({
  name: name.toLowerCase(),
  secret: false,
});
const secretName = ({ name, secret }: HttpRule['headerMatches'][number]): NamedHeader => ({
  name: name.toLowerCase(),
  secret,
});

/** A gRPC call is a POST to /service/method with a content type of its own (gRPC over HTTP/2, "Requests"). */
function grpcCondition(rule: GrpcRule): Condition {
  const [service, method] = [rule.service, rule.method].map((part) => {
    if (part === null) return '[^/?]+';
    bounded(part);
    return `(?:${part})`;
  });
  const path = pattern(`/${service}/${method}`);
  // A pattern of the user may match slashes, which no name has.
  const names: HeaderTest = { name: ':path', value: { kind: 'regex', regex: '/[^/?]+/[^/?]+' } };
  const contentType: HeaderTest = {
    name: 'content-type',
    value: { kind: 'prefix', text: 'application/grpc' },
  };
  return {
    rule: rule.id,
    method: pattern('POST'),
    path,
    host: null,
    headers: [
      ...(path?.shape.kind === 'literals' && path.shape.texts.every(isCallPath) ? [] : [names]),
      contentType,
    ],
    actions: [],
    named: [],
  };
}

function isCallPath(text: string): boolean {
  return /^\/[^/?]+\/[^/?]+$/.test(text);
}

function pattern(regex: string | null): Pattern | null {
  if (regex === null) return null;
  if (plainText.test(regex)) {
    return { regex, shape: { kind: 'literals', texts: [regex] }, instructions: regex.length };
  }
  const instructions = bounded(regex);
  const shape = regexShape(regex);
  return shape.kind === 'anything' ? null : { regex, shape, instructions };
}

/** Most paths and methods are just themselves; this spares them the analysis. */
const plainText = /^[A-Za-z0-9/_~%=&@!:;,'-]+$/;

function hostPattern(regex: string): Pattern | null {
  const instructions = bounded(regex);
  if (regexShape(regex).kind === 'anything') return null;
  const withPort = `(?:${regex})(?::[0-9]+)?`;
  return { regex: withPort, shape: regexShape(withPort), instructions: instructions + 3 };
}

/** Takes a pattern alone, so that nothing like `a)|(b` gets out of the group it is put into later. */
function bounded(regex: string): number {
  const instructions = regexCost(regex);
  if (instructions > maxInstructions) {
    throw new Error(
      `the regex needs about ${instructions} steps, more than the ${maxInstructions} a proxy takes: ${regex}`,
    );
  }
  return instructions;
}

function distinct<Item extends HeaderTest | HeaderAction | NamedHeader>(
  items: readonly Item[],
): readonly Item[] {
  const byText = new Map(items.map((item) => [JSON.stringify(item), item]));
  return [...byText].sort(([left], [right]) => (left < right ? -1 : 1)).map(([, item]) => item);
}
