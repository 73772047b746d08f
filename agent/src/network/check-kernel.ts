import type { Feature } from '@weir/bpf';

/**
 * Throws when the kernel lacks something that the datapath needs, and says in words what. Gives what is missing and
 * can be done without, in words too.
 */
export function checkKernel(features: readonly Feature[]): readonly string[] {
  const missing = features.filter(({ available }) => !available);
  if (missing.some(({ needed }) => needed)) {
    const lines = missing.filter(({ needed }) => needed).map((feature) => `  ${showFeature(feature)}`);
    throw new Error(`this kernel cannot run Weir:\n${lines.join('\n')}`);
  }
  return missing.map(showFeature);
}

function showFeature({ name, words }: Feature): string {
  return `${name}: ${words}`;
}
