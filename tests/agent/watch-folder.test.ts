import assert from 'node:assert/strict';
import { renameSync, rmSync, truncateSync, unlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, it } from 'node:test';
import { placeFile, watchFolder } from '@weir/agent';
import { temporaryFolder } from '../run-name.ts';

/** Only a hang takes this long, however busy the machine is. */
const DEADLINE_MS = 60_000;

describe('watched folder', () => {
  let folder = '';
  let close = (): void => undefined;
  let versions: string[] = [];
  let awaited: { readonly last: string; readonly resolve: () => void } | undefined;

  beforeEach(() => {
    folder = temporaryFolder('watch');
    versions = [];
  });
  afterEach(() => {
    close();
    rmSync(folder, { recursive: true });
  });

  function start(): { scan(): Promise<void> } {
    const watch = watchFolder(
      folder,
      (name) => name.endsWith('.yaml'),
      async (changes) => {
        for (const change of changes) {
          const name = change.path.slice(folder.length + 1);
          versions.push(change.kind === 'changed' ? `${name}=${change.text}` : `${name} ${change.kind}`);
        }
        if (awaited !== undefined && versions.at(-1) === awaited.last) awaited.resolve();
      },
      (error) => assert.fail(String(error)),
    );
    close = () => watch.close();
    return watch;
  }

  function until(last: string): Promise<void> {
    return new Promise((resolve, reject) => {
      const timer = setTimeout(
        () => reject(new Error(`waited for ${last}, saw ${versions.join(', ')}`)),
        DEADLINE_MS,
      );
      awaited = {
        last,
        resolve: () => {
          clearTimeout(timer);
          resolve();
        },
      };
      if (versions.at(-1) === last) awaited.resolve();
    });
  }

  it('takes a file that was put there whole at the next look, without waiting for its writer', async () => {
    const watch = start();
    const written = watch.scan();
    placeFile(folder, 'a.yaml', '1');
    await written;
    await watch.scan();
    assert.deepEqual(versions, ['a.yaml=1']);
  });

  it('reports what is there at the first look, in order, and nothing else', async () => {
    for (const [name, text] of Object.entries({ 'b.yaml': '2', 'a.yaml': '1', 'notes.txt': '3' }))
      placeFile(folder, name, text);
    await start().scan();
    assert.deepEqual(versions, ['a.yaml=1', 'b.yaml=2']);
  });

  it('reports a file that is replaced by rename, again and again', async () => {
    await start().scan();
    for (const text of ['1', '2', '3']) {
      writeFileSync(join(folder, 'a.new'), text);
      renameSync(join(folder, 'a.new'), join(folder, 'a.yaml'));
      await until(`a.yaml=${text}`);
    }
  });

  it('never shows a file that is being rewritten in place as empty', async () => {
    const path = join(folder, 'a.yaml');
    writeFileSync(path, '1');
    await start().scan();
    truncateSync(path);
    writeFileSync(path, '2');
    await until('a.yaml=2');
    assert.deepEqual(versions, ['a.yaml=1', 'a.yaml=2']);
  });

  it('does not take a file for removed that an editor moves away and writes anew', async () => {
    const path = join(folder, 'a.yaml');
    writeFileSync(path, '1');
    await start().scan();
    renameSync(path, `${path}~`);
    writeFileSync(path, '2');
    await until('a.yaml=2');
    assert.deepEqual(versions, ['a.yaml=1', 'a.yaml=2']);
  });

  it('reports a removed file once', async () => {
    const path = join(folder, 'a.yaml');
    writeFileSync(path, '1');
    await start().scan();
    unlinkSync(path);
    await until('a.yaml removed');
    assert.deepEqual(versions, ['a.yaml=1', 'a.yaml removed']);
  });
});
