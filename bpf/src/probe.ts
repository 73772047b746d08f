import { existsSync, statfsSync } from 'node:fs';
import { probeGuard } from './guard.ts';
import { type Native, native } from './native.ts';

/** One thing the datapath needs of the machine. */
export interface Feature {
  readonly name: string;
  readonly available: boolean;
  /** Without it nothing works; else the words say what works less well. */
  readonly needed: boolean;
  /** What it is for, and when it is missing, which kernel brings it, what to do, or what is done without it. */
  readonly words: string;
}

/** How the kernel is asked. */
export type KernelProbes = Pick<
  Native,
  'probeMapType' | 'probeProgramType' | 'probeHelper' | 'probeKfunc' | 'destroySockets'
>;

/** What is asked for beyond what every node needs. */
export interface Asked {
  /** To refuse workloads that nobody announced. */
  readonly guard: boolean;
}

/** Numbers of the kernel's bpf.h. */
const schedCls = 3;
const mapTypes = {
  hash: 1,
  percpuHash: 5,
  percpuArray: 6,
  lruHash: 9,
  lpmTrie: 11,
  ringbuf: 27,
} as const;
const helpers = {
  cloneRedirect: 13,
  fibLookup: 69,
  skLookupTcp: 84,
  skcLookupTcp: 99,
  skAssign: 124,
  ktimeGetCoarseNs: 160,
  forEachMapElem: 164,
} as const;
const bpffsMagic = 0xcafe4a11;
/** Ends that no socket has (sockets.ts). */
const nobody = new Uint8Array(36);

/** Tries each kernel feature that the datapath uses; changes nothing that outlives the call. */
export function probeFeatures(
  bpffs: string,
  kernel: KernelProbes = native,
  asked: Asked = { guard: false },
): readonly Feature[] {
  const mapType = (type: keyof typeof mapTypes) => () => kernel.probeMapType(mapTypes[type]);
  const helper = (id: keyof typeof helpers) => () => kernel.probeHelper(schedCls, helpers[id]);
  const hasBpffs = (): boolean => existsSync(bpffs) && statfsSync(bpffs).type === bpffsMagic;
  return Object.freeze([
    needed('bpffs', 'keeps maps when the agent is gone', `mount -t bpf bpf ${bpffs}`, hasBpffs),
    needed('BTF', 'describes structures to the loader', 'CONFIG_DEBUG_INFO_BTF', () =>
      existsSync('/sys/kernel/btf/vmlinux'),
    ),
    needed('tc programs', 'judge packets on workload interfaces', 'Linux 4.5, CONFIG_NET_CLS_BPF', () =>
      kernel.probeProgramType(schedCls),
    ),
    needed('hashes', 'hold policies', 'Linux 3.19', mapType('hash')),
    needed('LPM tries', 'hold address prefixes', 'Linux 4.11', mapType('lpmTrie')),
    needed('LRU hashes', 'hold connections', 'Linux 4.10', mapType('lruHash')),
    needed('per-CPU arrays', 'count', 'Linux 4.6', mapType('percpuArray')),
    needed('per-CPU hashes', 'count for each workload', 'Linux 4.6', mapType('percpuHash')),
    needed('ring buffers', 'report drops and redirects', 'Linux 5.8', mapType('ringbuf')),
    needed('bpf_clone_redirect', 'resets both ends', 'Linux 4.2', helper('cloneRedirect')),
    needed('bpf_fib_lookup', 'tells whose an unknown address is', 'Linux 4.18', helper('fibLookup')),
    needed('bpf_sk_lookup_tcp', 'finds the listeners of the proxy', 'Linux 4.20', helper('skLookupTcp')),
    needed('bpf_skc_lookup_tcp', 'finds the sockets of the proxy', 'Linux 5.2', helper('skcLookupTcp')),
    needed('bpf_sk_assign', 'hands connections to the proxy', 'Linux 5.7', helper('skAssign')),
    needed(
      'bpf_ktime_get_coarse_ns',
      'ages connections at no cost worth naming',
      'Linux 5.11',
      helper('ktimeGetCoarseNs'),
    ),
    needed(
      'bpf_for_each_map_elem',
      'ends connections that lost their permission',
      'Linux 5.13',
      helper('forEachMapElem'),
    ),
    ...(asked.guard
      ? [
          needed(
            'netfilter programs',
            'shut workloads off that nobody announced (--workload-cidr)',
            'Linux 6.4, CONFIG_NETFILTER_BPF_LINK',
            probeGuard,
          ),
        ]
      : []),
    optional(
      'bpf_skb_ct_lookup',
      'finds connections whose addresses the node translates (services, MASQUERADE)',
      'Linux 5.18 with nf_conntrack loaded; what is translated is not known to the proxy',
      () => kernel.probeKfunc('bpf_skb_ct_lookup', 'nf_conntrack'),
    ),
    optional(
      'SOCK_DESTROY',
      'closes idle proxied connections that lost their permission',
      'Linux 4.5, CONFIG_INET_DIAG_DESTROY; they end with their next packet instead',
      () => kernel.destroySockets(nobody) === 0,
    ),
  ]);
}

type Probe = () => boolean;

function needed(name: string, purpose: string, remedy: string, probe: Probe): Feature {
  return feature(name, true, purpose, remedy, probe);
}

function optional(name: string, purpose: string, remedy: string, probe: Probe): Feature {
  return feature(name, false, purpose, remedy, probe);
}

/** A probe that fails is a feature that is not there, with the reason in its words. */
function feature(name: string, isNeeded: boolean, purpose: string, remedy: string, probe: Probe): Feature {
  let available = false;
  let problem = '';
  try {
    available = probe();
  } catch (error) {
    problem = ` (${error instanceof Error ? error.message : String(error)})`;
  }
  const words = available ? purpose : `${purpose}; missing: ${remedy}${problem}`;
  return Object.freeze({ name, available, needed: isNeeded, words });
}
