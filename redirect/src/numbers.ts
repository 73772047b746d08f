/** Small numbers for string keys: the kernel's maps hold numbers, policy holds digests. */
export interface Numbering<Key extends string> {
  /** The key's number; a new key gets the smallest free one of the range. Throws when none is free. */
  take(key: Key): number;
  /** The key's number, when it has one. */
  get(key: Key): number | undefined;
  /** The key that has this number. */
  keyOf(number: number): Key | undefined;
  /** Binds a number that is already in use outside; false when the key or the number is bound already. */
  adopt(key: Key, number: number): boolean;
  /** Gives the number back. Only when nothing in the kernel refers to it any more. */
  release(key: Key): void;
  entries(): IterableIterator<[Key, number]>;
}

export interface NumberRange {
  readonly first: number;
  readonly last: number;
  /** Whether somebody else uses the number; asked when one is given out. */
  readonly isTaken?: (number: number) => boolean;
  /** What is numbered, for the error when the range is used up. */
  readonly what: string;
}

/**
 * A numbering over `range` that starts with `known`, in the order of `known`; a pair outside the range
 * or with a number that is already taken is left out, and so gets a new number when it is asked for.
 */
export function createNumbering<Key extends string>(
  range: NumberRange,
  known: Iterable<readonly [Key, number]>,
): Numbering<Key> {
  const numbers = new Map<Key, number>();
  const keys = new Map<number, Key>();
  let next = range.first;
  function adopt(key: Key, number: number): boolean {
    if (number < range.first || number > range.last || keys.has(number) || numbers.has(key)) return false;
    numbers.set(key, number);
    keys.set(number, key);
    return true;
  }
  for (const [key, number] of known) adopt(key, number);

  return {
    take(key) {
      const had = numbers.get(key);
      if (had !== undefined) return had;
      while (next <= range.last && (keys.has(next) || range.isTaken?.(next) === true)) next += 1;
      if (next > range.last) {
        throw new Error(`no ${range.what} is free: all of ${range.first} to ${range.last} are in use`);
      }
      numbers.set(key, next);
      keys.set(next, key);
      return next;
    },
    get: (key) => numbers.get(key),
    adopt,
    keyOf: (number) => keys.get(number),
    release(key) {
      const number = numbers.get(key);
      if (number === undefined) return;
      numbers.delete(key);
      keys.delete(number);
      next = Math.min(next, number);
    },
    entries: () => numbers.entries(),
  };
}
