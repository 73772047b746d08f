/** A place in a policy document. Lines and columns count from 1. */
export interface SourceRef {
  readonly file: string;
  readonly line: number;
  readonly column: number;
  /** `namespace/name`, or the bare name of a clusterwide document. */
  readonly policy: string;
}
