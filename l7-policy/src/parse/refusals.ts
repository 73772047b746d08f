import type { Problem } from '../types/problem.ts';
import type { SourceRef } from '../types/source-ref.ts';
import type { RegexCheck } from './regex-check.ts';

/** Collects what is wrong with one document while it is read; a document with an error is refused whole. */
export interface Refusals {
  readonly file: string;
  /** `namespace/name` once it is known. */
  policy: string;
  readonly problems: Problem[];
  refused: boolean;
  readonly nodeSelectorLabels: boolean;
  /** See `EngineOptions`. */
  readonly kafkaFilter: string;
  readonly regexes: RegexCheck;
  error(at: number, message: string, hint?: string): void;
  warn(at: number, message: string, hint?: string): void;
  source(at: number): SourceRef;
}

export interface RefusalOptions {
  readonly file: string;
  readonly place: (at: number) => { readonly line: number; readonly column: number };
  readonly nodeSelectorLabels: boolean;
  readonly kafkaFilter: string;
  readonly regexes: RegexCheck;
}

/** Problems reported of one document; nobody reads more. */
const maxProblems = 20;

/** A fresh collection for one document. */
export function createRefusals({
  file,
  place,
  nodeSelectorLabels,
  kafkaFilter,
  regexes,
}: RefusalOptions): Refusals {
  const problems: Problem[] = [];
  const add = (severity: Problem['severity'], at: number, message: string, hint: string | undefined) => {
    if (problems.length < maxProblems)
      problems.push({ severity, file, ...place(at), message, hint: hint ?? null });
  };
  return {
    file,
    policy: '',
    problems,
    refused: false,
    nodeSelectorLabels,
    kafkaFilter,
    regexes,
    error(at, message, hint) {
      this.refused = true;
      add('error', at, message, hint);
    },
    warn: (at, message, hint) => add('warning', at, message, hint),
    source(at) {
      return { file, ...place(at), policy: this.policy };
    },
  };
}

/** Turns offsets into lines and columns, both from 1. */
export function createPlaces(text: string): (at: number) => { line: number; column: number } {
  let starts: number[] | null = null;
  return (at) => {
    if (starts === null) {
      starts = [0];
      for (let i = text.indexOf('\n'); i >= 0; i = text.indexOf('\n', i + 1)) starts.push(i + 1);
    }
    let low = 0;
    let high = starts.length - 1;
    while (low < high) {
      const middle = (low + high + 1) >> 1;
      if ((starts[middle] ?? 0) <= at) low = middle;
      else high = middle - 1;
    }
    return { line: low + 1, column: at - (starts[low] ?? 0) + 1 };
  };
}
