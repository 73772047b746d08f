import type { ClassCompiler } from '@weir/envoy-config';
import { classId, type Engine, type L7Class, ruleId, type SourceRef } from '@weir/l7-policy';
import type { Places } from './from-access-log.ts';

/** Looks places up in the engine's present state; rules behind groups are known to `compiler`. */
export function createPlaces(
  engine: Pick<Engine, 'sourcesOf' | 'state'>,
  compiler: Pick<ClassCompiler, 'ruleOf'>,
): Places {
  return {
    ruleOf: compiler.ruleOf,
    ofRule: (rule) => engine.sourcesOf(ruleId(rule)).map(showPlace),
    ofSide(id, side) {
      const item = engine.state().classes.get(classId(id));
      return item === undefined ? [] : placesOfClass(engine, { [side]: item[side] });
    },
  };
}

/** Where the slots of a class, or of some of its sides, stand. */
export function placesOfClass(
  engine: Pick<Engine, 'state'>,
  { egress = null, ingress = null }: Partial<Pick<L7Class, 'egress' | 'ingress'>>,
): readonly string[] {
  const { sets, slots } = engine.state();
  return [egress, ingress]
    .flatMap((set) => (set === null ? [] : (sets.get(set)?.slots ?? [])))
    .flatMap((slot) => slots.get(slot)?.source ?? [])
    .map(showPlace);
}

/** `file:line`. */
export function showPlace({ file, line }: SourceRef): string {
  return `${file}:${line}`;
}
