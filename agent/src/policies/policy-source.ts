import type { EngineChange, Problem } from '@weir/l7-policy';
import { type FileChange, watchFolder } from '../files/watch-folder.ts';

/** The policy files of a folder, kept in step with the engine. */
export interface PolicySource {
  /** Looks now; resolves when what was found has been taken by a turn. */
  scan(): Promise<void>;
  /** Files that cannot even be read. */
  problems(): readonly Problem[];
  readonly files: number;
  close(): void;
}

/** What a source needs. */
export interface PolicySourceParts {
  readonly directory: string;
  /** Gives facts to the engine; resolves when a turn has taken them. */
  readonly change: (facts: readonly EngineChange[]) => Promise<readonly Problem[]>;
  /** Told of each problem once, when it appears. */
  readonly onProblem: (problem: Problem) => void;
  readonly onError: (error: unknown) => void;
}

const POLICY_FILE = /^[^.].*\.(ya?ml|json)$/;

/** Watches `directory`; nothing is read before the first `scan`. */
export function createPolicySource({ directory, change, onProblem, onError }: PolicySourceParts): PolicySource {
  const unreadable = new Map<string, Problem>();
  const present = new Set<string>();
  const folder = watchFolder(directory, (name) => POLICY_FILE.test(name), take, onError);

  async function take(changes: readonly FileChange[]): Promise<void> {
    const facts: EngineChange[] = [];
    for (const item of changes) {
      unreadable.delete(item.path);
      if (item.kind === 'removed') {
        present.delete(item.path);
        facts.push({ kind: 'remove-file', file: item.path });
        continue;
      }
      present.add(item.path);
      if (item.kind === 'changed') facts.push({ kind: 'set-file', file: item.path, text: item.text });
      else unreadable.set(item.path, unreadableProblem(item.path, item.reason));
    }
    for (const { path } of changes) {
      const problem = unreadable.get(path);
      if (problem !== undefined) onProblem(problem);
    }
    if (facts.length > 0) for (const problem of await change(facts)) onProblem(problem);
  }

  return {
    scan: () => folder.scan(),
    problems: () => [...unreadable.values()],
    get files() {
      return present.size;
    },
    close: () => folder.close(),
  };
}

function unreadableProblem(file: string, reason: string): Problem {
  return {
    severity: 'error',
    file,
    line: 1,
    column: 1,
    message: `the file cannot be read: ${reason}`,
    hint: 'what it said last stays in force',
  };
}
