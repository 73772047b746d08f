import { execFile } from 'node:child_process';
import { statfs } from 'node:fs/promises';
import { promisify } from 'node:util';

/** BPF_FS_MAGIC (linux/magic.h). */
const BPF_FS = 0xcafe4a11;

/**
 * Mounts a BPF file system at `path` where there is none yet: systemd does so at boot, other inits do not.
 * Throws when it cannot be mounted.
 */
export async function ensureBpffs(path: string): Promise<void> {
  const { type } = await statfs(path);
  if (type !== BPF_FS) await promisify(execFile)('mount', ['-t', 'bpf', 'bpf', path]);
}
