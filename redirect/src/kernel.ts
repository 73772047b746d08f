import type { Datapath } from '@weir/bpf';

/** The part of the datapath that the redirector writes to. */
export type Kernel = Pick<
  Datapath,
  'maps' | 'attach' | 'detach' | 'attached' | 'guard' | 'bumpIpcacheEpoch' | 'connections'
>;
