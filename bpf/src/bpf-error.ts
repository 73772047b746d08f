/** A failed kernel or libbpf operation. */
export class BpfError extends Error {
  override readonly name = 'BpfError';
  /** errno name, e.g. `EPERM`; `ELAYOUT` when pinned state belongs to another layout. */
  readonly code: string;
  /** What was tried, e.g. `load program from_workload`. */
  readonly operation: string;
  /** All that libbpf and the verifier said; empty when they said nothing. */
  readonly log: string;

  constructor(fields: { code: string; operation: string; message: string; log: string }) {
    super(fields.message);
    this.code = fields.code;
    this.operation = fields.operation;
    this.log = fields.log;
  }
}
