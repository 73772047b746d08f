// Runs protoc-gen-es over envoy.binpb, as protoc would, and writes what it answers into gen/.
// JavaScript with declarations, not TypeScript: its TypeScript holds enums, which Node cannot strip.
import { spawnSync } from 'node:child_process';
import { mkdirSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { dirname, join, resolve } from 'node:path';
import { create, fromBinary, toBinary } from '@bufbuild/protobuf';
import {
  CodeGeneratorRequestSchema,
  CodeGeneratorResponseSchema,
  FileDescriptorSetSchema,
} from '@bufbuild/protobuf/wkt';

const workspace = resolve(import.meta.dirname, '..');
const plugin = createRequire(import.meta.url).resolve('@bufbuild/protoc-gen-es/bin/protoc-gen-es');

const set = fromBinary(FileDescriptorSetSchema, readFileSync(join(workspace, 'envoy.binpb')));
const request = create(CodeGeneratorRequestSchema, {
  // The library brings Google's well-known types along.
  fileToGenerate: set.file.map((file) => file.name).filter((name) => !name.startsWith('google/protobuf/')),
  parameter: 'target=js+dts,import_extension=js',
  protoFile: set.file,
});

const run = spawnSync(process.execPath, [plugin], {
  input: toBinary(CodeGeneratorRequestSchema, request),
  maxBuffer: 256 * 1024 * 1024,
  stdio: ['pipe', 'pipe', 'inherit'],
});
if (run.status !== 0) throw new Error(`protoc-gen-es ended with ${run.status ?? run.signal}`);
const response = fromBinary(CodeGeneratorResponseSchema, run.stdout);
if (response.error !== '') throw new Error(`protoc-gen-es: ${response.error}`);

// Written beside and moved into place, so that an interrupted run leaves no half of it.
const fresh = join(workspace, 'gen.new');
rmSync(fresh, { recursive: true, force: true });
for (const file of response.file) {
  const path = join(fresh, file.name);
  mkdirSync(dirname(path), { recursive: true });
  writeFileSync(path, file.content);
}
rmSync(join(workspace, 'gen'), { recursive: true, force: true });
renameSync(fresh, join(workspace, 'gen'));
