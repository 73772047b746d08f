import type { Compiled } from '@weir/envoy-config';
import type { Places } from '../flows/from-access-log.ts';

/** Adds to a refusal where the rules stand that it is about. */
export function locateProblem(compiled: Compiled, places: Pick<Places, 'ofRule'>): Compiled {
  if (compiled.kind === 'compiled' || compiled.problem.rules.length === 0) return compiled;
  const { message, rules } = compiled.problem;
  const found = [...new Set(rules.flatMap(places.ofRule))].sort();
  return { kind: 'refused', problem: { rules, message: `${message} (${found.join(', ')})` } };
}
