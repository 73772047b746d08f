import { readFileSync } from 'node:fs';
import { PolicyTestFileError, type PolicyTestResult, runPolicyTests } from '@weir/l7-policy';

/** What became of one file. */
export type TestFileOutcome =
  | { readonly kind: 'run'; readonly file: string; readonly results: readonly PolicyTestResult[] }
  /** YAML, but no list of cases: a glob takes such files along. */
  | { readonly kind: 'skipped'; readonly file: string; readonly message: string }
  | { readonly kind: 'unreadable'; readonly file: string; readonly message: string };

export interface TestReport {
  readonly files: readonly TestFileOutcome[];
  /** Results of certain cases; a file that cannot be read is one failure. */
  readonly passed: number;
  readonly failed: number;
  /** Results of cases that call themselves uncertain: how many come out as the case guesses, how many do not. */
  readonly uncertain: { readonly agree: number; readonly differ: number };
}

/** Runs policy test files, each by itself. Never throws for what stands in a file. */
export function runTestFiles(paths: readonly string[]): TestReport {
  const files = paths.map(runFile);
  const results = files.flatMap((item) => (item.kind === 'run' ? item.results : []));
  const count = (uncertain: boolean, passed: boolean) =>
    results.filter((item) => item.uncertain === uncertain && item.passed === passed).length;
  return {
    files,
    passed: count(false, true),
    failed: count(false, false) + files.filter(({ kind }) => kind === 'unreadable').length,
    uncertain: { agree: count(true, true), differ: count(true, false) },
  };
}

function runFile(file: string): TestFileOutcome {
  let text: string;
  try {
    text = readFileSync(file, 'utf8');
  } catch (error) {
    const message = `cannot be read: ${error instanceof Error ? error.message : String(error)}`;
    return { kind: 'unreadable', file, message: `${file}: ${message}` };
  }
  try {
    return { kind: 'run', file, results: runPolicyTests(text, file) };
  } catch (error) {
    if (!(error instanceof PolicyTestFileError)) throw error;
    return { kind: error.kind === 'no-cases' ? 'skipped' : 'unreadable', file, message: error.message };
  }
}
