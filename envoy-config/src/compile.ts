import type { L7Class, L7Slot } from '@weir/l7-policy';
import { compileCluster } from './cluster.ts';
import { type ClassRules, compileRoutes } from './http/routes.ts';
import { type RuleSet, ruleSet } from './http/rule-set.ts';
import { compileListener } from './listener.ts';
import type { Compiled, CompileProblem, EnvoyResource } from './resource.ts';
import type { ProxyPort, ProxySettings } from './settings.ts';

/** A class with the content of its slots. A side without L7 rules is null: it allows everything. */
export interface ClassInput {
  readonly id: L7Class['id'];
  readonly kind: L7Class['kind'];
  readonly egress: readonly L7Slot[] | null;
  readonly ingress: readonly L7Slot[] | null;
  readonly port: ProxyPort;
}

/** What every class needs once: the cluster that leads to the original destination. */
export function compileShared(settings: ProxySettings): readonly EnvoyResource[] {
  return [compileCluster(settings)];
}

/**
 * Listener and route configuration of a class, both named by its id. The listener depends on id, port,
 * settings and on which sides have rules, never on the rules' content: a content edit changes routes
 * only. Equal rule sets give equal bytes, in whatever order they come.
 */
export function compileClass(input: ClassInput, settings: ProxySettings): Compiled {
  const routes = compileClassRoutes(input);
  if (routes.kind === 'refused') return routes;
  const pair = input.egress !== null && input.ingress !== null;
  const listener = compileListener({ classId: input.id, port: input.port, pair }, settings);
  return { kind: 'compiled', resources: [listener, ...routes.resources] };
}

/** The part of {@link compileClass} that follows the rules' content. */
export function compileClassRoutes(input: Omit<ClassInput, 'port'>): Compiled {
  if (input.kind !== 'http')
    return refused({ message: `no proxy serves rules of kind ${input.kind}`, rules: [] });
  const tls = [...(input.egress ?? []), ...(input.ingress ?? [])].find((slot) => slot.tls !== null);
  if (tls !== undefined)
    return refused({ message: 'no proxy ends TLS yet', rules: tls.rules.map(({ id }) => id) });
  const rules = classRules(input.egress, input.ingress);
  return 'message' in rules ? refused(rules) : compileRoutes(input.id, rules);
}

function classRules(
  egress: readonly L7Slot[] | null,
  ingress: readonly L7Slot[] | null,
): ClassRules | CompileProblem {
  const [out, into] = [egress, ingress].map((slots) => (slots === null ? null : ruleSet(slots)));
  if (out !== null && out !== undefined && 'message' in out) return out;
  if (into !== null && into !== undefined && 'message' in into) return into;
  return sides(out ?? null, into ?? null);
}

function sides(egress: RuleSet | null, ingress: RuleSet | null): ClassRules | CompileProblem {
  if (egress !== null && ingress !== null) return { kind: 'both', egress, ingress };
  if (egress !== null) return { kind: 'one', side: 'egress', rules: egress };
  if (ingress !== null) return { kind: 'one', side: 'ingress', rules: ingress };
  return { message: 'a class without rules on either side needs no proxy', rules: [] };
}

function refused(problem: CompileProblem): Compiled {
  return { kind: 'refused', problem };
}
