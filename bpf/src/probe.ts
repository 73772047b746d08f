/** One thing the datapath needs of the machine. */
export interface Feature {
  readonly name: string;
  readonly available: boolean;
  /** What it is for, and when it is missing, which kernel brings it or what to do. */
  readonly words: string;
}

/** Tries each needed kernel feature; changes nothing that outlives the call. */
export function probeFeatures(bpffs: string): readonly Feature[] {
  throw new Error(`not there yet: ${bpffs}`);
}
