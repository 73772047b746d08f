import { execFileSync } from 'node:child_process';
import { rmSync, writeFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { type KafkaFilter, readKafkaFilter } from '@weir/envoy-config';
import { temporaryFolder } from '../../run-name.ts';

const root = resolve(import.meta.dirname, '../../..');
const main = '../../envoy-config/kafka-filter/envoy/main';
const source = `
export { proxy_abi_version_0_2_1, proxy_on_memory_allocate, proxy_on_vm_start, proxy_on_context_create,
  proxy_on_configure, proxy_on_tick, proxy_on_new_connection, proxy_on_upstream_data,
  proxy_on_downstream_connection_close, proxy_on_upstream_connection_close, proxy_on_done, proxy_on_log,
  proxy_on_delete } from '${main}';
import { proxy_on_downstream_data as take } from '${main}';
import { DOWNSTREAM, readBuffer } from '../../envoy-config/kafka-filter/envoy/abi';
export function proxy_on_downstream_data(context: u32, size: u32, end: u32): u32 {
  if (String.UTF8.decode(readBuffer(DOWNSTREAM, 0, i32(size)).buffer).includes('trap')) unreachable();
  return take(context, size, end);
}
`;

/** The filter, with a trap in the way of a request that names a topic `trap`. */
export function trappingFilter(): KafkaFilter {
  const directory = temporaryFolder('kafka-trap', join(root, 'build'));
  const [entry, out] = [join(directory, 'trap.ts'), join(directory, 'trap.wasm')];
  const flags = ['-O1', '--runtime', 'incremental', '--initialMemory', '2', '--exportStart', '_initialize'];
  const abort = ['--use', 'abort=envoy-config/kafka-filter/envoy/main/onAbort'];
  try {
    writeFileSync(entry, source);
    execFileSync(`${root}/node_modules/.bin/asc`, [entry, ...flags, ...abort, '-o', out], {
      cwd: root,
      stdio: 'pipe',
    });
    return readKafkaFilter(out);
  } finally {
    rmSync(directory, { recursive: true });
  }
}
