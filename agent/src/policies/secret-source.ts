import type { EngineChange } from '@weir/l7-policy';
import { type FileChange, watchFolder } from '../files/watch-folder.ts';

/** A secret whose value stands in the agent's environment. */
export interface SecretVariable {
  readonly namespace: string;
  readonly name: string;
  readonly value: string;
}

/** The values that `headerMatches` compare with, kept in step with the engine. Nothing of them is stored. */
export interface SecretSource {
  /** Looks now; resolves when what was found has been taken by a turn. */
  scan(): Promise<void>;
  close(): void;
}

/** What a source needs. */
export interface SecretSourceParts {
  /** Its files are named NAMESPACE.NAME and hold the value. Null: there is no such folder. */
  readonly directory: string | null;
  readonly variables: readonly SecretVariable[];
  readonly change: (facts: readonly EngineChange[]) => Promise<unknown>;
  readonly onProblem: (path: string, reason: string) => void;
  readonly onError: (error: unknown) => void;
}

/** A namespace holds no dot, so the first one ends it. */
const secretFile = /^([a-z0-9]|[a-z0-9][a-z0-9-]*[a-z0-9])\.[^/]+$/;

/**
 * Watches the folder of secrets; nothing is read before the first `scan`. A file that is gone is a secret that is
 * not known, so that its rules match nothing; one that cannot be read keeps its last value.
 */
export function createSecretSource(parts: SecretSourceParts): SecretSource {
  const { directory, variables, change, onProblem, onError } = parts;
  const folder =
    directory === null ? null : watchFolder(directory, (name) => secretFile.test(name), take, onError);
  let told = false;

  async function take(changes: readonly FileChange[]): Promise<void> {
    const facts = changes.flatMap((item): readonly EngineChange[] => {
      if (item.kind === 'unreadable') {
        onProblem(item.path, item.reason);
        return [];
      }
      // A text editor ends the file with a line break that is no part of the value.
      const value = item.kind === 'changed' ? item.text.replace(/\r?\n$/, '') : null;
      return [{ kind: 'set-secret', ...secretOf(item.path), value }];
    });
    if (facts.length > 0) await change(facts);
  }

  return {
    async scan() {
      if (!told && variables.length > 0) {
        await change(variables.map((secret) => ({ kind: 'set-secret', ...secret })));
      }
      told = true;
      await folder?.scan();
    },
    close: () => folder?.close(),
  };
}

function secretOf(path: string): { readonly namespace: string; readonly name: string } {
  const file = path.slice(path.lastIndexOf('/') + 1);
  const dot = file.indexOf('.');
  return { namespace: file.slice(0, dot), name: file.slice(dot + 1) };
}
