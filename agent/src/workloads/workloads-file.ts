import { basename, dirname } from 'node:path';
import { type FileChange, watchFolder } from '../files/watch-folder.ts';
import type { LastGood } from '../state/last-good.ts';
import { parseWorkloads, type WorkloadProblem } from './parse-workloads.ts';
import type { Workload } from './workload.ts';

/** The workloads file, kept in step with the registry. */
export interface WorkloadsFile {
  /** Looks now; resolves when what was found has been taken. Throws when there never was a good version. */
  scan(): Promise<void>;
  /** Why the file's last version was not taken; empty when it was. */
  problems(): readonly WorkloadProblem[];
  close(): void;
}

/**
 * Watches `path`. A version with a problem, and a file that vanished, change nothing: the workloads it
 * named last stay protected, over a restart too. `take` may throw to refuse a version.
 */
export function createWorkloadsFile(
  path: string,
  lastGood: LastGood,
  take: (workloads: readonly Workload[]) => Promise<void>,
  onError: (error: unknown) => void,
): WorkloadsFile {
  let problems: readonly WorkloadProblem[] = [];
  let known = false;
  const name = basename(path);
  const folder = watchFolder(dirname(path), (candidate) => candidate === name, look, onError);

  async function look(changes: readonly FileChange[]): Promise<void> {
    for (const change of changes) problems = await problemsOf(change);
  }

  async function scan(): Promise<void> {
    if (!known) await restore();
    await folder.scan();
    if (!known) throw new Error(problems.map(showProblem).join('\n') || `there is no workloads file ${path}`);
  }

  async function restore(): Promise<void> {
    const good = lastGood.load(path);
    if (good === undefined) return;
    const result = parseWorkloads(good, path);
    if (result.kind !== 'workloads') return;
    await take(result.workloads);
    known = true;
    problems = [refusal('the file is gone; the workloads it named last stay protected')];
  }

  async function problemsOf(change: FileChange): Promise<readonly WorkloadProblem[]> {
    if (change.kind !== 'changed') {
      const why =
        change.kind === 'removed' ? 'the file is gone' : `the file cannot be read: ${change.reason}`;
      return [refusal(`${why}; the workloads it named last stay protected`)];
    }
    const result = parseWorkloads(change.text, path);
    if (result.kind === 'refused') return result.problems;
    try {
      await take(result.workloads);
    } catch (error) {
      return [refusal(error instanceof Error ? error.message : String(error))];
    }
    lastGood.save(path, change.text);
    known = true;
    return [];
  }

  function refusal(message: string): WorkloadProblem {
    return { file: path, line: 1, column: 1, message };
  }

  return { scan, problems: () => problems, close: () => folder.close() };
}

function showProblem({ file, line, column, message }: WorkloadProblem): string {
  return `${file}:${line}:${column}: ${message}`;
}
