/** What is wrong with a document, for the person who wrote it. Lines and columns count from 1. */
export interface Problem {
  /** An error refuses its document; a warning does not. */
  readonly severity: 'error' | 'warning';
  readonly file: string;
  readonly line: number;
  readonly column: number;
  readonly message: string;
  /** What to do about it, where that is known. */
  readonly hint: string | null;
}
