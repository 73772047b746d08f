import assert from 'node:assert/strict';
import { globSync, readFileSync } from 'node:fs';
import { resolve } from 'node:path';
import { describe, it } from 'node:test';

const root = resolve(import.meta.dirname, '../..');
const read = (path: string): string => readFileSync(resolve(root, path), 'utf8');

describe('docs/dependencies.md', () => {
  const page = read('docs/dependencies.md');

  it('has a line for every npm package, with its version', () => {
    const missing = globSync('{package.json,*/package.json}', { cwd: root }).flatMap((manifest) => {
      const { dependencies = {}, devDependencies = {} } = JSON.parse(read(manifest));
      return Object.entries({ ...dependencies, ...devDependencies })
        .filter(([name]) => !name.startsWith('@weir/'))
        .filter(([name, version]) => !page.includes(`| ${name} | ${version} |`))
        .map(([name, version]) => `${manifest}: ${name} ${version}`);
    });
    assert.deepEqual(missing, []);
  });

  it('names every Debian package', () => {
    const packages = read('scripts/apt-packages')
      .split('\n')
      .filter((line) => line !== '' && !line.startsWith('#'));
    assert.deepEqual(
      packages.filter(
        (name) => !new RegExp(`(^|[\\s|,(])${RegExp.escape(name)}([\\s|,)]|$)`, 'm').test(page),
      ),
      [],
    );
  });

  it('pins every version exactly', () => {
    const loose = globSync('{package.json,*/package.json}', { cwd: root }).flatMap((manifest) => {
      const { dependencies = {}, devDependencies = {} } = JSON.parse(read(manifest));
      return Object.entries({ ...dependencies, ...devDependencies }).filter(
        ([, version]) => !/^\d+\.\d+\.\d+$/.test(String(version)),
      );
    });
    assert.deepEqual(loose, []);
  });
});
