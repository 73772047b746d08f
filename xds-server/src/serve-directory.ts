import { readFile, stat } from 'node:fs/promises';
import { relative, resolve } from 'node:path';
import { envoyTypes } from '@weir/xds-ts';
import type { Clock } from './clock.ts';
import { systemClock } from './clock.ts';
import { createXdsServer } from './create-xds-server.ts';
import { describeEvent, describeProblem } from './describe-event.ts';
import {
  type DirectoryState,
  emptyDirectory,
  nextDirectory,
  problemsOf,
  resourcesOf,
} from './directory-state.ts';
import { type ParsedFile, parseResourceFile } from './resource-file.ts';
import type { ListenAddress, Listening, XdsServer } from './server.ts';
import { type WatchedTree, watchTree } from './watch-tree.ts';

export interface ServeDirectoryOptions {
  readonly dir: string;
  readonly listen: readonly ListenAddress[];
  /** Takes lines for people: what was loaded, what is wrong and where, who accepted or refused what. */
  readonly print: (line: string) => void;
  readonly clock?: Clock;
}

/** A directory that is being served. */
export interface ServedDirectory {
  readonly server: XdsServer;
  readonly listening: readonly Listening[];
  readonly close: () => Promise<void>;
}

/** Changes that come within this time are taken together. */
const settleMs = 50;
const isResourceFile = /\.(json|ya?ml)$/;

/**
 * Serves the resources in the JSON and YAML files under a directory to any xDS client, and follows
 * the files. Nothing is answered before the first reading. A bad file changes nothing: what it gave
 * last stays in force until it is mended. Rejects when the directory or an address cannot be used.
 */
export async function serveDirectory(options: ServeDirectoryOptions): Promise<ServedDirectory> {
  const { print, clock = systemClock } = options;
  const root = resolve(options.dir);
  if (!(await stat(root)).isDirectory()) throw new Error(`${root} is not a directory`);
  const types = envoyTypes();
  const server = createXdsServer({ hold: true, clock });
  server.subscribe((event) => {
    const line = describeEvent(event);
    if (line !== null) print(line);
  });
  const texts = new Map<string, { readonly text: string; readonly parsed: ParsedFile }>();
  let state = emptyDirectory;
  let reading: Promise<void> = Promise.resolve();
  let cancel: (() => void) | null = null;
  const tree: WatchedTree = watchTree(root, () => {
    cancel ??= clock.after(settleMs, () => {
      cancel = null;
      reading = reading.then(reload);
    });
  });

  async function parsedFiles(): Promise<ReadonlyMap<string, ParsedFile>> {
    const files = new Map<string, ParsedFile>();
    for (const path of await tree.list()) {
      if (!isResourceFile.test(path)) continue;
      const text = await textOf(path);
      if (text === null) continue;
      const name = relative(root, path);
      const known = texts.get(name);
      const parsed = known?.text === text ? known.parsed : parseResourceFile(name, text, types);
      texts.set(name, { text, parsed });
      files.set(name, parsed);
    }
    for (const name of texts.keys()) if (!files.has(name)) texts.delete(name);
    return files;
  }

  async function reload(): Promise<void> {
    try {
      const next = nextDirectory(state, await parsedFiles());
      const news = newProblems(state, next);
      const changes = apply(server, state, next);
      state = next;
      for (const problem of news) print(describeProblem(problem));
      if (changes > 0)
        print(
          `loaded    ${resourcesOf(state).length} resources from ${state.files.size} files, ${changes} changed`,
        );
    } catch (error) {
      print(
        `error     ${error instanceof Error ? error.message : String(error)}; what was loaded stays in force`,
      );
    }
  }

  async function close(): Promise<void> {
    cancel?.();
    tree.close();
    await reading;
    await server.close();
  }

  await reload();
  const listening: Listening[] = [];
  try {
    for (const address of options.listen) listening.push(await server.listen(address));
  } catch (error) {
    await close();
    throw error;
  }
  server.ready();
  return Object.freeze({ server, listening, close });
}

/** Null: the file went before it could be read. */
async function textOf(path: string): Promise<string | null> {
  try {
    return await readFile(path, 'utf8');
  } catch (error) {
    if (error instanceof Error && 'code' in error && error.code === 'ENOENT') return null;
    throw error;
  }
}

function newProblems(before: DirectoryState, after: DirectoryState): ReturnType<typeof problemsOf> {
  const known = new Set(problemsOf(before).map(describeProblem));
  return problemsOf(after).filter((problem) => !known.has(describeProblem(problem)));
}

/** Gives the server what changed, and returns how much that is. */
function apply(server: XdsServer, before: DirectoryState, after: DirectoryState): number {
  const old = new Map(
    resourcesOf(before).map((resource) => [`${resource.typeUrl}\0${resource.name}`, resource]),
  );
  const set = resourcesOf(after).filter((resource) => {
    const key = `${resource.typeUrl}\0${resource.name}`;
    const same = old.get(key)?.version === resource.version;
    old.delete(key);
    return !same;
  });
  const remove = [...old.values()];
  server.update({ set, remove });
  return set.length + remove.length;
}
