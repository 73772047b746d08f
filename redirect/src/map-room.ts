/** How full a kernel map is. */
export interface MapUsage {
  /** The map's name, as `bpftool` shows it. */
  readonly map: string;
  readonly entries: number;
  readonly maxEntries: number;
}

/** Whether the map should be looked after before it is full: four fifths are taken. */
export function isNearlyFull({ entries, maxEntries }: MapUsage): boolean {
  return entries >= 0.8 * maxEntries;
}

/** An update that does not fit; nothing of it was written. */
export class MapFullError extends Error {
  override name = 'MapFullError';
  constructor({ map, entries, maxEntries }: MapUsage, wanted: number) {
    super(
      `${map} is full: it holds ${entries} of ${maxEntries} entries and the update needs ${wanted} more; ` +
        'what was in force stays. Let policies select fewer peers',
    );
  }
}

/** Counts a map's entries; the kernel does not say how many there are. */
export interface MapRoom {
  /** Throws MapFullError when `entries` more do not fit. */
  claim(entries: number): void;
  free(entries: number): void;
  usage(): MapUsage;
}

/** Room in `map`, of which `entries` are taken. */
export function mapRoom(
  map: { readonly name: string; readonly maxEntries: number },
  entries: number,
): MapRoom {
  let taken = entries;
  const usage = (): MapUsage => ({ map: map.name, entries: taken, maxEntries: map.maxEntries });
  return {
    claim(more) {
      if (taken + more > map.maxEntries) throw new MapFullError(usage(), more);
      taken += more;
    },
    free(fewer) {
      taken -= fewer;
    },
    usage,
  };
}
