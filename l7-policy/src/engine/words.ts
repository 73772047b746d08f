/** Sets of small integers as bits in 32-bit words. A words array is never changed once it is shared. */
export type Words = Uint32Array;

export const noWords: Words = new Uint32Array(0);

export function hasBit(words: Words, index: number): boolean {
  return (((words[index >>> 5] ?? 0) >>> (index & 31)) & 1) === 1;
}

/** A copy with the bit set. */
export function withBit(words: Words, index: number): Words {
  const copy = new Uint32Array(Math.max(words.length, (index >>> 5) + 1));
  copy.set(words);
  copy[index >>> 5] = (copy[index >>> 5] ?? 0) | (1 << (index & 31));
  return copy;
}

/** A copy with the bit cleared, without empty words at its end. */
export function withoutBit(words: Words, index: number): Words {
  const copy = words.slice();
  if (index >>> 5 < copy.length) copy[index >>> 5] = (copy[index >>> 5] ?? 0) & ~(1 << (index & 31));
  let length = copy.length;
  while (length > 0 && copy[length - 1] === 0) length--;
  return length === copy.length ? copy : copy.slice(0, length);
}

export function isEmpty(words: Words): boolean {
  for (let i = 0; i < words.length; i++) if (words[i] !== 0) return false;
  return true;
}

/** Whether the two sets share a member. */
export function overlap(a: Words, b: Words): boolean {
  const length = Math.min(a.length, b.length);
  for (let i = 0; i < length; i++) if (((a[i] ?? 0) & (b[i] ?? 0)) !== 0) return true;
  return false;
}

/** Members in ascending order. */
export function forEachBit(words: Words, visit: (index: number) => void): void {
  for (let i = 0; i < words.length; i++) {
    let word = words[i] ?? 0;
    while (word !== 0) {
      const low = word & -word;
      visit((i << 5) + (31 - Math.clz32(low)));
      word ^= low;
    }
  }
}

/** A set under construction, which grows as it needs. */
export interface GrowingSet {
  words: Words;
}

/** true when the bit was not set before. */
export function addBit(set: GrowingSet, index: number): boolean {
  const at = index >>> 5;
  if (at >= set.words.length) {
    const grown = new Uint32Array(Math.max(at + 1, set.words.length * 2));
    grown.set(set.words);
    set.words = grown;
  }
  const word = set.words[at] ?? 0;
  const bit = 1 << (index & 31);
  if ((word & bit) !== 0) return false;
  set.words[at] = word | bit;
  return true;
}

/** true when the bit was set before. */
export function removeBit(set: GrowingSet, index: number): boolean {
  const word = set.words[index >>> 5] ?? 0;
  const bit = 1 << (index & 31);
  if ((word & bit) === 0) return false;
  set.words[index >>> 5] = word & ~bit;
  return true;
}
