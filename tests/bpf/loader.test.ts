import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { BpfError, loadObject } from '@weir/bpf';

const sources = {
  // Follows a pointer that may be null: the classic refusal.
  refused: `
    int pass(struct __sk_buff *skb) { __u32 zero = 0; __u64 *count = bpf_map_lookup_elem(&counts, &zero); *count += 1; return skb->len; }`,
  accepted: `
    int pass(struct __sk_buff *skb) { return skb->len + limit; }`,
};

describe('the loader', () => {
  let folder: string;
  const path = (name: keyof typeof sources) => join(folder, `${name}.o`);

  before(() => {
    folder = mkdtempSync(join(tmpdir(), 'weir-loader-'));
    for (const [name, body] of Object.entries(sources)) {
      const text = `
        #include <linux/bpf.h>
        #include <bpf/bpf_helpers.h>
        const volatile __u32 limit = 1;
        struct { __uint(type, BPF_MAP_TYPE_HASH); __uint(max_entries, 1); __type(key, __u32); __type(value, __u64); } counts SEC(".maps");
        SEC("tc") ${body}
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
  });
});
