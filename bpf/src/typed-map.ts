/**
 * A kernel map whose keys and values are domain values. Every call is one or a few system calls and throws
 * BpfError, except where a missing key is an answer.
 */
export interface TypedMap<Key, Value> {
  readonly name: string;
  readonly maxEntries: number;
  /** The value, or undefined when the key is absent. */
  get(key: Key): Value | undefined;
  /** Inserts or replaces. A full map throws BpfError with code E2BIG (LPM, hash) and changes nothing. */
  set(key: Key, value: Value): void;
  /** False when the key was absent. */
  delete(key: Key): boolean;
  /** Inserts or replaces in few system calls. On failure the entries before the failing one are in force. */
  setBatch(entries: Iterable<readonly [Key, Value]>): void;
  /** Deletes in few system calls and gives how many were there; absent keys are passed over. */
  deleteBatch(keys: Iterable<Key>): number;
  /** All entries, read in batches. Entries changed meanwhile may or may not be seen. */
  entries(): IterableIterator<readonly [Key, Value]>;
}
