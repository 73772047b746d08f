/** Bounds what is remembered: deletes what was put there first, until at most so many are left. */
export function forgetOldest<Key>(
  known: { readonly size: number; keys(): IterableIterator<Key>; delete(key: Key): boolean },
  most: number,
): void {
  for (const oldest of known.keys()) {
    if (known.size <= most) return;
    known.delete(oldest);
  }
}
