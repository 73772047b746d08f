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

/**
 * Whether connections of the proxy should go around TCP inside the node. `auto`: where the kernel lets every way to read
 * a socket see it; `on`: for workloads that do not read sockets with splice(2), too.
 */
export type AccelerationChoice = 'auto' | 'on' | 'off';

/** What it takes to open a datapath. */
export interface DatapathOptions {
  /** Scopes pins; letters, digits, `-` and `_`. */
  readonly instance: string;
  readonly marks: DatapathMarks;
  /** Where a bpffs is mounted. */
  readonly bpffs: string;
  /** Sizes of maps that are made now; adopted maps keep theirs. */
  readonly capacity?: Partial<
    Readonly<Record<'policyPeers' | 'policyTables' | 'ipcache' | 'endpoints' | 'connections', number>>
  >;
  /** Report new allowed connections as events too (drops and redirects always are). Default true. */
  readonly reportAllowed?: boolean;
  /** Whether connections of the proxy go around TCP inside the node. Default `off`. */
  readonly accelerate?: AccelerationChoice;
  /** Folder of cgroup v2 under which sockets are accelerated. Default: its root. */
  readonly cgroup?: string;
}

/** Throws RangeError when the marks could be taken for one another or for somebody else's. */
export function checkMarks(marks: DatapathMarks): void {
  const values = [marks.deliver, marks.proxy, marks.reinject];
  const sound =
    values.every((value) => value !== 0 && (value & ~marks.mask) === 0) && new Set(values).size === 3;
  if (!sound) {
    throw new RangeError(
      'the marks deliver, proxy and reinject must differ, and be bits of the mask other than none',
    );
  }
}
