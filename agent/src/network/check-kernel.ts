import { type Feature, probeFeatures } from '@weir/bpf';

/** Throws when the kernel lacks something that the datapath needs, and says in words what. */
export function checkKernel(bpffs: string): void {
  const missing = probeFeatures(bpffs).filter(({ available }) => !available);
  if (missing.length > 0)
    throw new Error(`this kernel cannot run Weir:\n${missing.map(showFeature).join('\n')}`);
}

function showFeature({ name, words }: Feature): string {
  return `  ${name}: ${words}`;
}
