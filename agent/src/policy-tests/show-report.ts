import type { PolicyTestResult } from '@weir/l7-policy';
import { showExplanation } from '../cli/show-explanation.ts';
import type { TestReport } from './run-test-files.ts';

/** A line per failure with what was expected and why it is not so, then the rules that had a part; the counts are last. */
export function showReport({ files, passed, failed, uncertain }: TestReport): string {
  const lines = files.flatMap((outcome) => {
    if (outcome.kind === 'skipped') return [`note: ${outcome.message}; skipped`];
    if (outcome.kind === 'unreadable') return [`FAILED ${outcome.message}`];
    return outcome.results.filter((item) => !item.passed).flatMap(showFailure);
  });
  const { agree, differ } = uncertain;
  return [
    ...lines,
    ...(agree + differ === 0 ? [] : [`uncertain, not counted: ${agree} as the case guesses, ${differ} not`]),
    `${passed} passed, ${failed} failed`,
  ].join('\n');
}

function showFailure(result: PolicyTestResult): readonly string[] {
  const { file, line, test, title, message, uncertain, explanation } = result;
  const details = explanation === null ? [] : showExplanation(explanation).split('\n').slice(1);
  return [
    `${uncertain ? 'uncertain' : 'FAILED'} ${file}:${line}: ${test}: ${title}: ${message}`,
    ...(uncertain ? [] : details),
  ];
}
