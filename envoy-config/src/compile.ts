import type { L7Class, L7Slot } from '@weir/l7-policy';
import { compileCluster } from './cluster.ts';
import { connectionManagerFilter } from './http/connection-manager.ts';
import { createMemory, type Memory } from './http/memory.ts';
import { type ClassRules, compileRoutes } from './http/routes.ts';
import type { RuleGroups } from './http/rule-groups.ts';
import { type RuleSet, ruleSet } from './http/rule-set.ts';
import { compileKafkaClass } from './kafka/compile-kafka.ts';
import { createKafkaRevisions } from './kafka/revisions.ts';
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

/** Kinds of classes that compile; connections of others are refused in the kernel. */
export const servedKinds: ReadonlySet<L7Class['kind']> = new Set(['http', 'kafka']);

/** What every class needs once: the cluster that leads to the original destination. */
export function compileShared(settings: ProxySettings): readonly EnvoyResource[] {
  return [compileCluster(settings)];
}

/** Turns classes into resources. */
export interface ClassCompiler {
  /**
   * Listener and route configuration of a class, both named by its id; of a Kafka class, listener and filter. The listener depends on id, port,
   * settings and on which sides have rules, never on the rules' content: a content edit changes routes
   * only. Equal rule sets give equal bytes, in whatever order they come.
   */
  readonly compileClass: (input: ClassInput, settings: ProxySettings) => Compiled;
  /** The part of `compileClass` that follows the rules' content. */
  readonly compileRoutes: (input: Omit<ClassInput, 'port'>) => Compiled;
  /** The rule that a verdict of the access log names, see {@link RuleGroups}. */
  readonly ruleOf: RuleGroups['ruleOf'];
}

/**
 * A compiler that remembers rules it has seen, which makes an edit of a large class several times cheaper.
 * What it returns depends on its arguments only, but for the revision of a Kafka class: when the rules of one differ
 * from those that it had last, `revision` gives a text that no class has had before.
 */
export function createClassCompiler(revision: () => string): ClassCompiler {
  const memory = createMemory();
  const revisions = createKafkaRevisions(revision);
  const compileRoutesOf = (input: Omit<ClassInput, 'port'>) => routesOf(input, memory);
  return {
    compileRoutes: compileRoutesOf,
    ruleOf: memory.groups.ruleOf,
    compileClass(input, settings) {
      if (input.kind === 'kafka') return kafka(input, revisions.configOf(input), settings);
      const routes = compileRoutesOf(input);
      if (routes.kind === 'refused') return routes;
      const pair = input.egress !== null && input.ingress !== null;
      const manager = connectionManagerFilter({ classId: input.id, port: input.port, pair }, settings);
      const listener = compileListener({ classId: input.id, port: input.port }, [manager], settings);
      return { kind: 'compiled', resources: [listener, ...routes.resources] };
    },
  };
}

/** Compiles one class, remembering nothing; see {@link ClassCompiler.compileClass}. */
export function compileClass(input: ClassInput, settings: ProxySettings): Compiled {
  return createClassCompiler(() => '').compileClass(input, settings);
}

/** Compiles one class's routes, remembering nothing; see {@link ClassCompiler.compileRoutes}. */
export function compileClassRoutes(input: Omit<ClassInput, 'port'>): Compiled {
  return createClassCompiler(() => '').compileRoutes(input);
}

function kafka(input: ClassInput, config: Uint8Array, settings: ProxySettings): Compiled {
  if (settings.kafkaFilter === null) return refused({ message: 'the Kafka filter is not built', rules: [] });
  return { kind: 'compiled', resources: compileKafkaClass(input, config, settings.kafkaFilter, settings) };
}

function routesOf(input: Omit<ClassInput, 'port'>, memory: Memory): Compiled {
  if (input.kind !== 'http')
    return refused({ message: `no proxy serves rules of kind ${input.kind}`, rules: [] });
  const tls = [...(input.egress ?? []), ...(input.ingress ?? [])].find((slot) => slot.tls !== null);
  if (tls !== undefined)
    return refused({ message: 'no proxy ends TLS yet', rules: tls.rules.map(({ id }) => id) });
  const rules = classRules(input.egress, input.ingress, memory);
  return 'message' in rules ? refused(rules) : compileRoutes(input.id, rules, memory);
}

function classRules(
  egress: readonly L7Slot[] | null,
  ingress: readonly L7Slot[] | null,
  memory: Memory,
): ClassRules | CompileProblem {
  const [out, into] = [egress, ingress].map((slots) => (slots === null ? null : ruleSet(slots, memory)));
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
