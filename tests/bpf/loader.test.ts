import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { mkdirSync, readFileSync, rmdirSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import {
  attachCgroup,
  BpfError,
  closeHandle,
  kernelMap,
  type LoadedObject,
  loadObject,
  openPinned,
  pin,
  runProgram,
  u32,
  u64,
} from '@weir/bpf';
import { runName, temporaryFolder } from '../run-name.ts';
import { bpffs, mountBpffs } from './lab.ts';

const sources = {
  // Follows a pointer that may be null: the classic refusal.
  refused: `
    SEC("tc") int pass(struct __sk_buff *skb) { __u32 zero = 0; __u64 *count = bpf_map_lookup_elem(&counts, &zero); *count += 1; return skb->len; }`,
  accepted: `
    SEC("tc") int pass(struct __sk_buff *skb) { return skb->len + limit; }`,
  cgroup: `
    SEC("cgroup_skb/egress") int pass(struct __sk_buff *skb) { return 1; }`,
};

describe('the loader', () => {
  let folder: string;
  const path = (name: keyof typeof sources) => join(folder, `${name}.o`);

  before(() => {
    mountBpffs();
    folder = temporaryFolder('loader');
    for (const [name, body] of Object.entries(sources)) {
      const text = `
        #include <linux/bpf.h>
        #include <bpf/bpf_helpers.h>
        const volatile __u32 limit = 1;
        struct { __uint(type, BPF_MAP_TYPE_HASH); __uint(max_entries, 1); __type(key, __u32); __type(value, __u64); } counts SEC(".maps");
        ${body}
        char _license[] SEC("license") = "GPL";`;
      writeFileSync(join(folder, `${name}.c`), text);
      const { status, stderr } = spawnSync(
        'clang-14',
        [
          '-target',
          'bpf',
          '-g',
          '-O2',
          '-I/usr/include/x86_64-linux-gnu',
          '-c',
          join(folder, `${name}.c`),
          '-o',
          join(folder, `${name}.o`),
        ],
        { encoding: 'utf8' },
      );
      assert.equal(status, 0, stderr);
    }
  });
  after(() => rmSync(folder, { recursive: true }));

  test('what the verifier refuses is told in its own words, the whole log on request', () => {
    assert.throws(
      () => loadObject({ path: path('refused') }, ['pass']),
      (error: unknown) => {
        assert.ok(error instanceof BpfError);
        assert.equal(error.code, 'EACCES');
        assert.equal(error.operation, 'load object refused');
        assert.match(
          error.message,
          /^cannot load object refused: EACCES \(R\d invalid mem access 'map_value_or_null', at \d+: \([0-9a-f]{2}\) r/,
        );
        assert.doesNotMatch(error.message, /run as root/);
        assert.match(error.log, /BEGIN PROG LOAD LOG[\s\S]*processed \d+ insns/);
        return true;
      },
    );
  });

  test('a constant that the file does not have', () => {
    assert.throws(
      () => loadObject({ path: path('accepted'), constants: { other: 1 } }, ['pass']),
      /set constant other of 4 bytes: ENOENT/,
    );
  });

  test('a program that the file does not have', () => {
    assert.throws(() => loadObject({ path: path('accepted') }, ['other']), /take program other: ENOENT/);
  });

  test('a file that is none', () => {
    assert.throws(
      () => loadObject({ path: join(folder, 'accepted.c') }, ['pass']),
      /cannot open object .*accepted\.c/,
    );
    assert.throws(() => loadObject({ path: join(folder, 'nowhere.o') }, ['pass']), /ENOENT/);
  });

  test('what is sound is loaded', () => {
    const loaded = loadObject({ path: path('accepted'), constants: { limit: 5 } }, ['pass']);
    assert.deepEqual([Object.keys(loaded.programs), Object.keys(loaded.maps)], [['pass'], ['counts']]);
    const packet = new Uint8Array(64);
    assert.equal(runProgram(loaded.programs['pass']!, packet).returned, 64 + 5, 'with its constant');
    close(loaded);
    assert.throws(() => runProgram(loaded.programs['pass']!, packet), /open handle/);
    close(loaded);
  });

  test('maps of every kind, with values of any layout, outlive the loader through a pin', () => {
    const loaded = loadObject({ path: path('accepted'), maxEntries: new Map([['counts', 8]]) }, ['pass']);
    const counts = kernelMap(loaded.maps['counts']!, 'counts', u32, u64);
    assert.equal(counts.maxEntries, 8);
    counts.setBatch([
      [1, 10n],
      [2, 20n],
    ]);
    const pinned = join(bpffs, runName('weir-loader'));
    pin(loaded.maps['counts']!, pinned);
    try {
      close(loaded);
      const again = openPinned(pinned);
      const found = [...kernelMap(again, 'counts', u32, u64).entries()].sort(
        ([left], [right]) => left - right,
      );
      assert.deepEqual(found, [
        [1, 10n],
        [2, 20n],
      ]);
      assert.throws(() => kernelMap(again, 'counts', u64, u64), /use map counts: ELAYOUT/);
      closeHandle(again);
    } finally {
      rmSync(pinned);
    }
  });

  test('a program on a cgroup leaves it with its link', () => {
    const mount = readFileSync('/proc/mounts', 'utf8')
      .split('\n')
      .map((line) => line.split(' '))
      .find(([, , type]) => type === 'cgroup2')?.[1];
    assert.ok(mount !== undefined, 'cgroup v2 is mounted');
    const folder = join(mount, runName('weir-loader'));
    mkdirSync(folder);
    try {
      const loaded = loadObject({ path: path('cgroup') }, ['pass']);
      const link = attachCgroup(loaded.programs['pass']!, folder, 'egress');
      const attached = () =>
        spawnSync('bpftool', ['cgroup', 'show', folder], { encoding: 'utf8' }).stdout.includes('pass');
      assert.ok(attached());
      closeHandle(link);
      assert.ok(!attached());
      close(loaded);
    } finally {
      rmdirSync(folder);
    }
  });
});

function close(loaded: LoadedObject): void {
  for (const handle of [...Object.values(loaded.programs), ...Object.values(loaded.maps)])
    closeHandle(handle);
}
