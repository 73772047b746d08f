import { existsSync, statfsSync } from 'node:fs';
import { native } from './native.ts';

/** One thing the datapath needs of the machine. */
export interface Feature {
  readonly name: string;
  readonly available: boolean;
  /** What it is for, and when it is missing, which kernel brings it or what to do. */
  readonly words: string;
}

/** Numbers of the kernel's bpf.h. */
const schedCls = 3;
const mapTypes = { hash: 1, array: 2, percpuArray: 6, lruHash: 9, lpmTrie: 11, ringbuf: 27 } as const;
const helpers = { skcLookupTcp: 99, skAssign: 124, ktimeGetCoarseNs: 160 } as const;
const bpffsMagic = 0xcafe4a11;

/** Tries each needed kernel feature; changes nothing that outlives the call. */
export function probeFeatures(bpffs: string): readonly Feature[] {
  const feature = (name: string, purpose: string, remedy: string, probe: () => boolean): Feature => {
    let available = false;
    let problem = '';
    try {
      available = probe();
    } catch (error) {
      problem = ` (${error instanceof Error ? error.message : String(error)})`;
    }
    const words = available ? purpose : `${purpose}; missing: ${remedy}${problem}`;
    return Object.freeze({ name, available, words });
  };
  const mapType = (type: keyof typeof mapTypes) => () => native.probeMapType(mapTypes[type]);
  const helper = (id: keyof typeof helpers) => () => native.probeHelper(schedCls, helpers[id]);
  return Object.freeze([
    feature('bpffs', 'keeps maps when the agent is gone', `mount -t bpf bpf ${bpffs}`, () => {
      return existsSync(bpffs) && statfsSync(bpffs).type === bpffsMagic;
    }),
    feature('tc programs', 'judge packets on workload interfaces', 'Linux 4.5, CONFIG_NET_CLS_BPF', () =>
      native.probeProgramType(schedCls),
    ),
    feature('LPM tries', 'hold policies and address prefixes', 'Linux 4.11', mapType('lpmTrie')),
    feature('LRU hashes', 'hold connections', 'Linux 4.10', mapType('lruHash')),
    feature('per-CPU arrays', 'count', 'Linux 4.6', mapType('percpuArray')),
    feature('ring buffers', 'report drops and redirects', 'Linux 5.8', mapType('ringbuf')),
    feature('bpf_skc_lookup_tcp', 'finds the sockets of the proxy', 'Linux 5.2', helper('skcLookupTcp')),
    feature('bpf_sk_assign', 'hands connections to the proxy', 'Linux 5.7', helper('skAssign')),
    feature(
      'bpf_ktime_get_coarse_ns',
      'ages connections at no cost worth naming',
      'Linux 5.11',
      helper('ktimeGetCoarseNs'),
    ),
    feature('BTF', 'describes structures to the loader', 'CONFIG_DEBUG_INFO_BTF', () =>
      existsSync('/sys/kernel/btf/vmlinux'),
    ),
  ]);
}
