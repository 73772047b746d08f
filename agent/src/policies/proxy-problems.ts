import { createClassCompiler } from '@weir/envoy-config';
import { classId, type Engine, type L7Rule, type L7Slot, type Problem } from '@weir/l7-policy';

/**
 * What a proxy would refuse of the rules in the documents, each block of rules by itself: an agent says the same of
 * blocks that meet in one connection, in its status.
 */
export function proxyProblems(engine: Pick<Engine, 'declaredSlots' | 'sourcesOf'>): readonly Problem[] {
  const compiler = createClassCompiler(() => '');
  return engine.declaredSlots().flatMap((slot): readonly Problem[] => {
    if (slot.kind !== 'http') return [];
    const { direction, kind } = slot;
    const alone = [{ ...slot, rules: slot.rules.map(withSecrets) }];
    const compiled = compiler.compileRoutes({
      id: classId('validate'),
      kind,
      egress: direction === 'egress' ? alone : null,
      ingress: direction === 'ingress' ? alone : null,
    });
    if (compiled.kind === 'compiled') return [];
    const { message, rules } = compiled.problem;
    const { file, line, column } = placeOf(slot, rules, engine);
    return [
      {
        severity: 'error',
        file,
        line,
        column,
        message: `the proxy cannot enforce this: ${message}`,
        hint: null,
      },
    ];
  });
}

/** A secret that is not known yet may be known later. */
function withSecrets(rule: L7Rule): L7Rule {
  if (rule.kind !== 'http') return rule;
  const headerMatches = rule.headerMatches.map((match) => ({ ...match, value: match.value ?? 'a secret' }));
  return { ...rule, headerMatches };
}

/** The first of the rules that stands within the block. */
function placeOf(slot: L7Slot, rules: readonly string[], engine: Pick<Engine, 'sourcesOf'>) {
  const places = slot.rules
    .filter(({ id }) => rules.includes(id))
    .flatMap(({ id }) => engine.sourcesOf(id))
    .filter(({ file, line }) => file === slot.source.file && line >= slot.source.line);
  return places.sort((left, right) => left.line - right.line)[0] ?? slot.source;
}
