import { readdirSync, readFileSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { createEngine, type Engine, type IdentityAllocator, identity, type Problem } from '@weir/l7-policy';
import { CLUSTER_NAME, POLICY_FILE } from '../options.ts';
import { engineOptions } from '../policies/engine-options.ts';
import { endpointFact } from '../workloads/endpoint-fact.ts';
import { parseWorkloads } from '../workloads/parse-workloads.ts';

/** An engine over files alone, for questions that need no agent. */
export interface OfflineEngine {
  readonly engine: Engine;
  readonly problems: readonly Problem[];
}

/** Reads policy files, and the policy files that stand directly in folders, and the workloads, when given. Throws when a file cannot be read. */
export function offlineEngine(paths: readonly string[], workloadsFile: string | undefined): OfflineEngine {
  const engine = createEngine(engineOptions(countingAllocator(), ''));
  const files = paths.flatMap(policyFiles);
  const { problems } = engine.apply([
    ...workloadsOf(workloadsFile).map((endpoint) => ({ kind: 'set-endpoint', endpoint }) as const),
    ...files.map((file) => ({ kind: 'set-file', file, text: readFileSync(file, 'utf8') }) as const),
  ]);
  return { engine, problems };
}

function policyFiles(path: string): readonly string[] {
  if (!statSync(path).isDirectory()) return [path];
  return readdirSync(path)
    .filter((name) => POLICY_FILE.test(name))
    .sort()
    .map((name) => join(path, name));
}

function workloadsOf(file: string | undefined): readonly ReturnType<typeof endpointFact>[] {
  if (file === undefined) return [];
  const result = parseWorkloads(readFileSync(file, 'utf8'), file);
  if (result.kind === 'workloads')
    return result.workloads.map((workload) => endpointFact(workload, CLUSTER_NAME));
  throw new Error(
    result.problems.map(({ line, column, message }) => `${file}:${line}:${column}: ${message}`).join('\n'),
  );
}

function countingAllocator(): IdentityAllocator {
  const numbers = new Map<string, number>();
  return {
    allocate(labels) {
      const key = labels.join('\n');
      const number = numbers.get(key) ?? 256 + numbers.size;
      numbers.set(key, number);
      return identity(number);
    },
    release: () => undefined,
  };
}
