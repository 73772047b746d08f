import type { EngineChange, Problem } from '@weir/l7-policy';
import { type FileChange, watchFolder } from '../files/watch-folder.ts';
import { POLICY_FILE } from '../options.ts';
import type { LastGood } from '../state/last-good.ts';
import type { PolicyParser } from './policy-parser.ts';

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
  readonly parser: PolicyParser;
  readonly lastGood: LastGood;
  /** Gives facts to the engine; resolves when a turn has taken them. */
  readonly change: (facts: readonly EngineChange[]) => Promise<readonly Problem[]>;
  /** Told of each problem once, when it appears. */
  readonly onProblem: (problem: Problem) => void;
  readonly onError: (error: unknown) => void;
}

/**
 * Watches `directory`; nothing is read before the first `scan`. A file that the engine has not seen
 * comes with its last good version before it, so that a file which was broken while the agent was away
 * keeps enforcing what it did.
 */
export function createPolicySource(parts: PolicySourceParts): PolicySource {
  const { directory, parser, lastGood, change, onProblem, onError } = parts;
  const unreadable = new Map<string, Problem>();
  const present = new Set<string>();
  const folder = watchFolder(directory, (name) => POLICY_FILE.test(name), take, onError);

  async function take(changes: readonly FileChange[]): Promise<void> {
    const facts = (await Promise.all(changes.map(factsOf))).flat();
    for (const { path } of changes) {
      const problem = unreadable.get(path);
      if (problem !== undefined) onProblem(problem);
    }
    if (facts.length === 0) return;
    const problems = await change(facts);
    problems.forEach(onProblem);
    const broken = new Set(problems.filter(({ severity }) => severity === 'error').map(({ file }) => file));
    for (const item of changes) {
      if (item.kind === 'removed') lastGood.forget(item.path);
      else if (item.kind === 'changed' && !broken.has(item.path)) lastGood.save(item.path, item.text);
    }
  }

  async function factsOf(item: FileChange): Promise<readonly EngineChange[]> {
    const { path: file } = item;
    unreadable.delete(file);
    if (item.kind === 'removed') {
      present.delete(file);
      return [{ kind: 'remove-file', file }];
    }
    const good = present.has(file) ? undefined : lastGood.load(file);
    present.add(file);
    if (item.kind === 'unreadable') unreadable.set(file, unreadableProblem(file, item.reason));
    const texts = [good, item.kind === 'changed' && item.text !== good ? item.text : undefined];
    return Promise.all(
      texts
        .filter((text) => text !== undefined)
        .map(async (text): Promise<EngineChange> => {
          return { kind: 'set-parsed-file', file, parsed: await parser.parse(file, text) };
        }),
    );
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
