/** Which side's rules stand in the routes of a class. */
export type RuleSide = 'egress' | 'ingress';

const denials = ['egress-rules', 'ingress-rules', 'path-traversal', 'malformed-host'] as const;

/** Why a route refuses. */
export type RouteDenial = (typeof denials)[number];

/** What the name of a route says: Envoy logs it with each request. */
export type RouteName =
  | {
      readonly kind: 'allow';
      readonly side: RuleSide;
      /** The id of the rule, or the name of the group of rules behind a combined regex. */
      readonly rule: string;
      /** Headers that did not have the value that a rule wanted, lower case, sorted. */
      readonly mismatches: readonly string[];
    }
  | { readonly kind: 'deny'; readonly reason: RouteDenial };

/** `egress:RULE`, `ingress:RULE!header,header`, `deny:REASON`. */
export function formatRouteName(name: RouteName): string {
  if (name.kind === 'deny') return `deny:${name.reason}`;
  const mismatches = name.mismatches.length === 0 ? '' : `!${name.mismatches.join(',')}`;
  return `${name.side}:${name.rule}${mismatches}`;
}

/** Reads what {@link formatRouteName} wrote; null for any other text. */
export function parseRouteName(text: string): RouteName | null {
  const parts = /^(egress|ingress|deny):([^!]+)(?:!(.+))?$/.exec(text);
  const [, side, rest, mismatches] = parts ?? [];
  if (rest === undefined) return null;
  switch (side) {
    case 'egress':
    case 'ingress':
      return {
        kind: 'allow',
        side,
        rule: rest,
        mismatches: mismatches === undefined ? [] : mismatches.split(','),
      };
    case 'deny': {
      const reason = denials.find((each) => each === rest);
      return reason === undefined ? null : { kind: 'deny', reason };
    }
    default:
      return null;
  }
}
