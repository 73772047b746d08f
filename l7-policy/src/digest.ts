import { sha256 } from '@noble/hashes/sha2.js';
import { bytesToHex, utf8ToBytes } from '@noble/hashes/utils.js';

/**
 * Digest of a list of texts: 32 hex digits (128 bits of SHA-256), the same on every machine.
 * Parts are separated by lengths, so that no two different lists look alike.
 */
export function digest(parts: readonly string[]): string {
  return bytesToHex(
    sha256(utf8ToBytes(parts.map((part) => `${part.length}:${part}`).join(''))).subarray(0, 16),
  );
}
