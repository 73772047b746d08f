import { readConnections } from './connections.ts';
import { readCounters, readOutcomes } from './counters.ts';
import { type Datapath, datapathMaps } from './datapath.ts';
import type { DatapathMaps } from './datapath-maps.ts';
import type { DatapathOptions } from './datapath-options.ts';
import { required } from './datapath-programs.ts';
import { type DatapathEvent, decodeEvents, type EventStream } from './events.ts';
import { native } from './native.ts';
import { pinnedMaps } from './pin-folder.ts';

/** What an instance has in the kernel, looked at from outside of its agent. Nothing is loaded or changed. */
export interface DatapathView extends Pick<Datapath, 'connections' | 'counters' | 'outcomes' | 'readEvents'> {
  readonly maps: DatapathMaps;
  /** Closing twice is the same as once. */
  close(): void;
}

/** Throws BpfError with code ENOENT when there is nothing of the instance, ELAYOUT when another build made it. */
export function openDatapathView({
  bpffs,
  instance,
}: Pick<DatapathOptions, 'bpffs' | 'instance'>): DatapathView {
  const handles = Object.fromEntries(pinnedMaps(bpffs, instance));
  const close = (): void => Object.values(handles).forEach(native.close);
  try {
    return Object.freeze({
      maps: datapathMaps(handles),
      connections: () => readConnections(required(handles, 'conntrack')),
      counters: () => readCounters(required(handles, 'counters')),
      outcomes: () => readOutcomes(required(handles, 'outcomes')),
      readEvents(listener: (events: readonly DatapathEvent[]) => void): EventStream {
        const ring = native.openRing(required(handles, 'events'), (records) =>
          listener(decodeEvents(records)),
        );
        return { close: async () => native.close(ring) };
      },
      close,
    });
  } catch (error) {
    close();
    throw error;
  }
}
