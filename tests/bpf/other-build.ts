// A build of another version: the sources, copied, with another layout number and a connection entry that has a field
// more, in front of all others.
import { spawnSync } from 'node:child_process';
import { cpSync, mkdirSync, readdirSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { temporaryFolder } from '../run-name.ts';

const root = resolve(import.meta.dirname, '../..');
export const otherLayout = 99;

export interface OtherBuild {
  /** Its root folder, laid out like this repository. */
  readonly root: string;
  remove(): void;
}

/** Compiles it; takes some seconds. */
export function makeOtherBuild(): OtherBuild {
  const folder = temporaryFolder('other-build');
  const workspaces = readdirSync(join(root, 'node_modules/@weir'));
  for (const name of [...workspaces, 'tests/bpf', 'examples']) {
    cpSync(join(root, name), join(folder, name), {
      recursive: true,
      filter: (path) => !['node_modules', 'build'].some((made) => path === join(root, name, made)),
    });
  }
  linkModules(folder, workspaces);
  symlinkSync(join(root, 'build'), join(folder, 'build'));
  change(join(folder, 'bpf/lib/shared.h'), [
    [/#define WEIR_LAYOUT \d+/, `#define WEIR_LAYOUT ${otherLayout}`],
    [/struct weir_flow \{/, 'struct weir_flow {\n\t__u64 future;'],
  ]);
  change(join(folder, 'bpf/src/layouts.ts'), [
    [/layoutVersion = \d+/, `layoutVersion = ${otherLayout}`],
    [/layout\('weir_flow', \{/, "layout('weir_flow', { future: reserved(8, 8),"],
  ]);
  const built = spawnSync(join(folder, 'bpf/scripts/build'), { encoding: 'utf8' });
  if (built.status !== 0) throw new Error(built.error?.message ?? built.stderr);
  return { root: folder, remove: () => rmSync(folder, { recursive: true }) };
}

function linkModules(folder: string, workspaces: readonly string[]): void {
  const modules = join(folder, 'node_modules');
  mkdirSync(join(modules, '@weir'), { recursive: true });
  for (const name of readdirSync(join(root, 'node_modules'))) {
    if (name !== '@weir') symlinkSync(join(root, 'node_modules', name), join(modules, name));
  }
  for (const name of workspaces) symlinkSync(join(folder, name), join(modules, '@weir', name));
}

function change(path: string, replacements: readonly (readonly [RegExp, string])[]): void {
  let text = readFileSync(path, 'utf8');
  for (const [pattern, by] of replacements) {
    if (!pattern.test(text)) throw new Error(`${path} has no ${pattern}`);
    text = text.replace(pattern, by);
  }
  writeFileSync(path, text);
}
