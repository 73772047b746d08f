/**
 * Bits of each symbol's code in HPACK's Huffman code (RFC 7541, appendix B). The code is canonical:
 * codes of one length follow each other in the order of their symbols, so the lengths say it all.
 */
const codeBits: readonly number[] = [
  ...[13, 23, 28, 28, 28, 28, 28, 28, 28, 24, 30, 28, 28, 30, 28, 28],
  ...[28, 28, 28, 28, 28, 28, 30, 28, 28, 28, 28, 28, 28, 28, 28, 28],
  ...[6, 10, 10, 12, 13, 6, 8, 11, 10, 10, 8, 11, 8, 6, 6, 6],
  ...[5, 5, 5, 6, 6, 6, 6, 6, 6, 6, 7, 8, 15, 6, 12, 10],
  ...[13, 6, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7],
  ...[7, 7, 7, 7, 7, 7, 7, 7, 8, 7, 8, 13, 19, 13, 14, 6],
  ...[15, 5, 6, 5, 6, 5, 6, 6, 6, 5, 7, 7, 6, 6, 6, 5],
  ...[6, 7, 6, 5, 5, 6, 7, 7, 7, 7, 7, 15, 11, 14, 13, 28],
  ...[20, 22, 20, 20, 22, 22, 22, 23, 22, 23, 23, 23, 23, 23, 24, 23],
  ...[24, 24, 22, 23, 24, 23, 23, 23, 23, 21, 22, 23, 22, 23, 23, 24],
  ...[22, 21, 20, 22, 22, 23, 23, 21, 23, 22, 22, 24, 21, 22, 23, 23],
  ...[21, 21, 22, 21, 23, 22, 23, 23, 20, 22, 22, 22, 23, 22, 22, 23],
  ...[26, 26, 20, 19, 22, 23, 22, 25, 26, 26, 26, 27, 27, 26, 24, 25],
  ...[19, 21, 26, 27, 27, 26, 27, 24, 21, 21, 26, 26, 28, 27, 27, 27],
  ...[20, 24, 20, 21, 22, 21, 21, 23, 22, 22, 25, 25, 24, 24, 26, 23],
  ...[26, 27, 26, 26, 27, 27, 27, 27, 27, 28, 27, 27, 27, 27, 27, 26],
  30,
];
const endOfString = 256;
const longestCode = 30;

/** By code length: the first code, how many there are, and where their symbols begin in `symbols`. */
interface Length {
  readonly first: number;
  readonly count: number;
  readonly at: number;
}

const symbols = codeBits.map((_, symbol) => symbol).sort((a, b) => bitsOf(a) - bitsOf(b) || a - b);
const lengths = lengthsOf();

function bitsOf(symbol: number): number {
  return codeBits[symbol] ?? longestCode;
}

function lengthsOf(): readonly Length[] {
  const found: Length[] = [];
  let code = 0;
  let at = 0;
  for (let bits = 0; bits <= longestCode; bits += 1) {
    const count = codeBits.filter((one) => one === bits).length;
    found.push({ first: code, count, at });
    code = (code + count) * 2;
    at += count;
  }
  return found;
}

/**
 * Decodes a string literal, one byte a character. Throws on the end-of-string symbol and on padding
 * that is longer than 7 bits or not all ones (RFC 7541, 5.2).
 */
export function decodeHuffman(bytes: Uint8Array): string {
  let text = '';
  let code = 0;
  let bits = 0;
  for (const byte of bytes) {
    for (let shift = 7; shift >= 0; shift -= 1) {
      code = code * 2 + ((byte >> shift) & 1);
      bits += 1;
      const length = lengths[bits];
      if (length === undefined) throw new Error('a Huffman code is too long');
      const index = code - length.first;
      if (index >= length.count) continue;
      const symbol = symbols[length.at + index];
      if (symbol === undefined || symbol === endOfString) throw new Error('a Huffman string ends early');
      text += String.fromCharCode(symbol);
      code = 0;
      bits = 0;
    }
  }
  if (bits > 7 || code !== 2 ** bits - 1) throw new Error('a Huffman string has bad padding');
  return text;
}
