import type { Connection, DatapathMaps } from './datapath-maps.ts';
import type { DatapathEvent, EventStream } from './events.ts';
import type { Ifindex } from './numbers.ts';
import type { Reason } from './reasons.ts';

/** Values of the packet mark that belong to one instance, all under one mask. */
export interface DatapathMarks {
  /** The bits that are ours; all others are left alone. */
  readonly mask: number;
  /** "Deliver to the local proxy": the instance's `ip rule` looks for it. */
  readonly deliver: number;
  /** SO_MARK of the proxy's listeners and upstream sockets. */
  readonly proxy: number;
  /** Set by the programs on packets they send round to the ingress side; nobody else may use it. */
  readonly reinject: number;
}

/** What it takes to open a datapath. */
export interface DatapathOptions {
  /** Scopes pins; letters, digits, `-` and `_`. */
  readonly instance: string;
  readonly marks: DatapathMarks;
  /** Where a bpffs is mounted. */
  readonly bpffs: string;
  /** Sizes of maps that are made now; adopted maps keep theirs. */
  readonly capacity?: Partial<Readonly<Record<'policy' | 'ipcache' | 'endpoints' | 'connections', number>>>;
  /** Report new allowed connections as events too (drops and redirects always are). Default true. */
  readonly reportAllowed?: boolean;
}

/** An interface that carries programs of this instance. */
export interface AttachedInterface {
  readonly ifindex: Ifindex;
  /** Both programs are there and are those of this build and these constants. */
  readonly current: boolean;
}

/**
 * The node datapath of one instance in the calling process's network namespace. Closing releases handles and
 * leaves maps and programs in force; `remove` takes everything away.
 */
export interface Datapath {
  readonly instance: string;
  /** True when maps of an earlier process were adopted. */
  readonly adopted: boolean;
  readonly maps: DatapathMaps;
  /** Puts both programs on the interface's clsact hooks; what stood there of ours is replaced atomically. */
  attach(ifindex: Ifindex): void;
  /** Takes both programs off. False when none were there. An interface that is gone counts as detached. */
  detach(ifindex: Ifindex): boolean;
  /** Interfaces of this namespace that carry programs of this instance, whoever put them there. */
  attached(): readonly AttachedInterface[];
  /** Makes every living connection be judged anew on its next packet. Gives the new epoch. */
  bumpIpcacheEpoch(): number;
  /** Tracked connections; a snapshot read in batches. */
  connections(): IterableIterator<Connection>;
  /** Sums over all CPUs since the maps were made. */
  counters(): Readonly<Record<Reason, bigint>>;
  /** Calls `listener` with batches of events, off the event loop until there are some. One stream at a time. */
  readEvents(listener: (events: readonly DatapathEvent[]) => void): EventStream;
  /** Releases handles. Kernel state stays. Closing twice is the same as once. */
  close(): void;
  /** Detaches from every interface of this namespace, unpins all maps, closes. */
  remove(): void;
}

/**
 * Opens the instance's datapath: adopts the pinned maps when their layout is this build's, makes them otherwise.
 * Throws BpfError; a layout that differs is the error code `ELAYOUT`.
 */
export function openDatapath(options: DatapathOptions): Datapath {
  throw new Error(`not there yet: ${options.instance}`);
}
