/** A failed kernel or libbpf operation. */
export class BpfError extends Error {
  override readonly name = 'BpfError';
  /** errno name, e.g. `EPERM`; `ELAYOUT` when pinned state belongs to another layout. */
  readonly code: string;
  /** What was tried, e.g. `load object from-workload`. */
  readonly operation: string;
  /** All that libbpf and the verifier said; empty when they said nothing. */
  readonly log: string;

  constructor(code: string, operation: string, log: string) {
    const summary = summarise(log);
    super(`cannot ${operation}: ${code}${summary === '' ? '' : ` (${summary})`}${advice(code, log)}`);
    this.code = code;
    this.operation = operation;
    this.log = log;
  }
}

/**
 * The words of a log that say what is wrong: the verifier's last sentence before its statistics, with the
 * instruction it speaks of; else libbpf's or the kernel's own sentence.
 */
export function summarise(log: string): string {
  const lines = log
    .split('\n')
    .map((line) => line.trim())
    .filter((line) => line !== '');
  const statistics = lines.findIndex((line) => /^(processed \d+ insns|-- END PROG LOAD LOG --)/.test(line));
  if (statistics > 0) {
    const sentence = lines[statistics - 1] ?? '';
    const instruction = lines.slice(0, statistics).findLast((line) => /^\d+: \([0-9a-f]{2}\)/.test(line));
    return instruction === undefined || instruction === sentence
      ? sentence
      : `${sentence}, at ${instruction}`;
  }
  const kernel = lines.find((line) => line.startsWith('Kernel error message:'));
  if (kernel !== undefined) return kernel.slice('Kernel error message:'.length).trim();
  return (lines[0] ?? '').replace(/^libbpf: /, '');
}

function advice(code: string, log: string): string {
  const refused = log.includes('-- BEGIN PROG LOAD LOG --');
  if (!refused && (code === 'EPERM' || code === 'EACCES'))
    return '; run as root, or with CAP_BPF and CAP_NET_ADMIN';
  if (code === 'E2BIG' || code === 'ENOSPC') return '; the map is full: raise its capacity';
  return '';
}
