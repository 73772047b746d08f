import type { Problem } from '@weir/l7-policy';

/** `file:line:column: severity: message`, and the hint on a line of its own. */
export function showProblem({ file, line, column, severity, message, hint }: Problem): string {
  return `${file}:${line}:${column}: ${severity}: ${message}${hint === null ? '' : `\n  ${hint}`}`;
}
