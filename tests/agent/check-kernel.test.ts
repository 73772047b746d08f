import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { checkKernel } from '@weir/agent';
import { BpfError, type KernelProbes, probeFeatures } from '@weir/bpf';
import { bpffs, mountBpffs } from '../bpf/lab.ts';

/** A kernel that has everything but what is said. */
function kernelWithout(lacks: Partial<KernelProbes>): KernelProbes {
  return {
    probeMapType: () => true,
    probeProgramType: () => true,
    probeHelper: () => true,
    probeKfunc: () => true,
    destroySockets: () => 0,
    ...lacks,
  };
}

const skAssign = 124;
const ringbuf = 27;

describe('what the kernel must have', () => {
  mountBpffs();

  it('is all here', () => {
    assert.deepEqual(checkKernel(probeFeatures(bpffs, undefined, { guard: true })), []);
  });

  it('is named, each with the version that brings it, and the start refused', () => {
    const kernel = kernelWithout({
      probeHelper: (_program, helper) => helper !== skAssign,
      probeMapType: (type) => type !== ringbuf,
    });
    assert.throws(() => checkKernel(probeFeatures(bpffs, kernel)), {
      message: [
        'this kernel cannot run Weir:',
        '  ring buffers: report drops and redirects; missing: Linux 5.8',
        '  bpf_sk_assign: hands connections to the proxy; missing: Linux 5.7',
      ].join('\n'),
    });
  });

  it('may lack what only makes it better, and says what is done instead', () => {
    const kernel = kernelWithout({
      probeKfunc: (name) => name !== 'bpf_skb_ct_lookup',
      destroySockets: () => {
        throw new BpfError('EOPNOTSUPP', 'destroy sockets', '');
      },
    });
    assert.deepEqual(checkKernel(probeFeatures(bpffs, kernel)), [
      'bpf_skb_ct_lookup: finds connections whose addresses the node translates (services, MASQUERADE); missing: Linux 5.18 with nf_conntrack loaded; what is translated is not known to the proxy',
      'SOCK_DESTROY: closes idle proxied connections that lost their permission; missing: Linux 4.5, CONFIG_INET_DIAG_DESTROY; they end with their next packet instead (cannot destroy sockets: EOPNOTSUPP)',
    ]);
  });
});
