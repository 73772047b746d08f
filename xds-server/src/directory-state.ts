import type { Resource } from './resource.ts';
import type { ParsedFile, Place, Problem } from './resource-file.ts';

/** What a directory gives: for each file its last good resources, and what is wrong with it now. */
export interface DirectoryState {
  readonly files: ReadonlyMap<string, FileState>;
}

export interface FileState {
  /** What is in force of this file. */
  readonly resources: readonly Resource[];
  readonly problems: readonly Problem[];
}

export const emptyDirectory: DirectoryState = Object.freeze({ files: new Map<string, FileState>() });

/**
 * The next state for the files as they are read now. A bad file keeps what it gave last; so does one
 * that names a resource which another file gives already (the one that had it keeps it, else the
 * first by path). A file that is gone gives nothing.
 */
export function nextDirectory(
  before: DirectoryState,
  parsed: ReadonlyMap<string, ParsedFile>,
): DirectoryState {
  const paths = [...parsed.keys()].sort();
  const owners = new Map<string, string>();
  for (const path of paths) {
    for (const resource of before.files.get(path)?.resources ?? []) {
      if (gives(parsed.get(path), resource)) owners.set(keyOf(resource), path);
    }
  }
  const files = new Map<string, FileState>();
  for (const path of paths) {
    const file = parsed.get(path);
    const kept = before.files.get(path)?.resources ?? [];
    if (file === undefined) continue;
    if (file.kind === 'bad') files.set(path, { resources: kept, problems: file.problems });
    else {
      const problems = file.resources.flatMap((resource, index) => {
        const owner = owners.get(keyOf(resource)) ?? path;
        if (owner !== path) return [clash(path, owner, resource, file.places[index])];
        owners.set(keyOf(resource), path);
        return [];
      });
      files.set(path, { resources: problems.length > 0 ? kept : file.resources, problems });
    }
  }
  return Object.freeze({ files });
}

/** Everything that is in force. */
export function resourcesOf(state: DirectoryState): readonly Resource[] {
  return [...state.files.values()].flatMap(({ resources }) => resources);
}

export function problemsOf(state: DirectoryState): readonly Problem[] {
  return [...state.files.values()].flatMap(({ problems }) => problems);
}

/** Whether a file still gives a resource: a bad one keeps all it had. */
function gives(file: ParsedFile | undefined, resource: Resource): boolean {
  if (file?.kind !== 'good') return true;
  return file.resources.some((other) => keyOf(other) === keyOf(resource));
}

function clash(file: string, owner: string, { typeUrl, name }: Resource, place: Place | undefined): Problem {
  const { line, column } = place ?? { line: 1, column: 1 };
  return { file, line, column, message: `${typeUrl} ${JSON.stringify(name)} stands in ${owner} already` };
}

function keyOf({ typeUrl, name }: Resource): string {
  return `${typeUrl}\0${name}`;
}
