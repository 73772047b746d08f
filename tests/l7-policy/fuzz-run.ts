import { createEngine, type Engine, type EngineUpdate } from '@weir/l7-policy';
import { type CaseDocuments, conformanceDocuments, yamlValues } from './conformance-documents.ts';
import { createRandom, mutateField, mutateText } from './mutate-documents.ts';

/** What fuzzing saw. */
export interface FuzzReport {
  readonly inputs: number;
  /** Accepted, with the meaning of the original. */
  readonly same: number;
  readonly refused: number;
  /** Texts that were accepted as something else, which is allowed where the text is any. */
  readonly other: number;
  readonly slowestMs: number;
  readonly slowest: string;
  /** Crashes, and documents that were accepted without one of their conditions. */
  readonly findings: readonly string[];
}

interface Subject {
  readonly source: CaseDocuments;
  readonly values: readonly unknown[];
  readonly engine: Engine;
}

/** Runs `inputs` mutants of the conformance documents through engines that know their workloads. */
export function fuzz(inputs: number, seed: number, nowMs: () => number): FuzzReport {
  const random = createRandom(seed);
  const subjects = conformanceDocuments()
    .filter(({ refused }) => !refused)
    .map(createSubject);
  const counts = { same: 0, refused: 0, other: 0 };
  const findings: string[] = [];
  let slowest = { ms: 0, what: '' };
  for (let i = 0; i < inputs; i++) {
    const subject = random.pick(subjects);
    const anyText = random.below(2) === 0;
    const { text, what } = anyText
      ? { text: mutateText(subject.source.policies, random), what: 'text' }
      : mutateField(subject.values, random);
    const name = `input ${i} of seed ${seed}, ${subject.source.title}: ${what}`;
    const start = nowMs();
    const { verdict, changed } = judge(subject, text);
    const ms = nowMs() - start;
    if (ms > slowest.ms) slowest = { ms, what: name };
    if (verdict === 'crashed') findings.push(`${name}: ${changed}\n${text}`);
    else if (verdict === 'refused') counts.refused += 1;
    else if (changed === null) counts.same += 1;
    else if (anyText) counts.other += 1;
    else findings.push(`${name}: accepted, and means something else\n${text}`);
    if (changed !== null) Object.assign(subject, createSubject(subject.source));
  }
  return { inputs, ...counts, slowestMs: slowest.ms, slowest: slowest.what, findings };
}

function createSubject(source: CaseDocuments): Subject {
  const engine = createEngine({ nodeSelectorLabels: source.nodeSelectorLabels });
  const values = yamlValues(source.policies);
  engine.apply(source.endpoints.map((endpoint) => ({ kind: 'set-endpoint', endpoint })));
  engine.setFile('a.yaml', values.map((value) => JSON.stringify(value)).join('\n---\n'));
  return { source, values, engine };
}

interface Outcome {
  readonly verdict: 'accepted' | 'refused' | 'crashed';
  /** null: everything in force is as it was. */
  readonly changed: string | null;
}

function judge({ engine }: Subject, text: string): Outcome {
  try {
    const { delta } = engine.setFile('a.yaml', text);
    const refused = engine.problems().some(({ severity }) => severity === 'error');
    return { verdict: refused ? 'refused' : 'accepted', changed: isEmpty(delta) ? null : 'it changed' };
  } catch (error) {
    return { verdict: 'crashed', changed: error instanceof Error ? (error.stack ?? '') : String(error) };
  }
}

function isEmpty({ subjects, directions, slots, sets, classes, ipcache }: EngineUpdate['delta']): boolean {
  return (
    subjects.added.length + subjects.changed.length + subjects.removed.length === 0 &&
    directions.added.length + directions.changed.length + directions.removed.length === 0 &&
    slots.added.length + slots.changed.length + slots.removed.length === 0 &&
    sets.added.length + sets.removed.length === 0 &&
    classes.added.length + classes.removed.length === 0 &&
    ipcache.set.size + ipcache.removed.length === 0
  );
}
