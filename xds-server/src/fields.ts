import { BinaryReader, WireType } from '@bufbuild/protobuf/wire';
import { typeUrls } from './resource-types.ts';

/** Length-delimited protobuf fields read in place, where a request comes for every push or holds thousands. */

/** A length has at most four bytes here: no request is that large. */
const longestShift = 21;
/** Beyond this, what a text costs is its bytes and not the call that decodes it. */
const shortText = 32;
const decoder = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true });
const knownTypes = Object.values(typeUrls).map((text) => ({ text, bytes: Buffer.from(text) }));

/** The body of the field that begins there, whose tag is one byte. Throws when it goes beyond the message. */
export function bodyOf(bytes: Uint8Array, start: number): { readonly from: number; readonly to: number } {
  let at = start;
  let length = 0;
  let byte = 0x80;
  for (let shift = 0; byte >= 0x80; shift += 7) {
    at += 1;
    if (shift > longestShift || at >= bytes.length) throw new Error('a field is cut short');
    byte = bytes[at] ?? 0;
    length |= (byte & 0x7f) << shift;
  }
  const from = at + 1;
  const to = from + length;
  if (to > bytes.length) throw new Error('a field is cut short');
  return { from, to };
}

/** Where the field that begins there ends, whatever it is. */
export function fieldEnd(bytes: Uint8Array, start: number): number {
  if (isPlain(bytes[start] ?? 0)) return bodyOf(bytes, start).to;
  const reader = new BinaryReader(bytes);
  reader.pos = start;
  const [number, wireType] = reader.tag();
  reader.skip(wireType, number);
  return reader.pos;
}

/** Whether a tag is one byte and says length-delimited, as those of all fields do that matter here. */
export function isPlain(tag: number): boolean {
  return tag < 0x80 && (tag & 7) === WireType.LengthDelimited;
}

/** Where a run of fields with the same one-byte tag ends that begins there. */
export function runEnd(bytes: Uint8Array, start: number): number {
  const tag = bytes[start];
  let at = start;
  while (at < bytes.length && bytes[at] === tag) at = bodyOf(bytes, at).to;
  return at;
}

/** Calls `take` with the bounds of the body of each field of a run. */
export function eachBody(run: Uint8Array, take: (from: number, to: number) => void): void {
  for (let at = 0; at < run.length; ) {
    const { from, to } = bodyOf(run, at);
    take(from, to);
    at = to;
  }
}

/** Throws on what is not UTF-8. */
export function textIn(bytes: Uint8Array, from: number, to: number): string {
  if (to - from > shortText) return decoder.decode(bytes.subarray(from, to));
  let text = '';
  for (let at = from; at < to; at += 1) {
    const byte = bytes[at] ?? 0;
    if (byte >= 0x80) return decoder.decode(bytes.subarray(from, to));
    text += String.fromCharCode(byte);
  }
  return text;
}

/** The same, without making one for a type that is known. */
export function typeUrlIn(bytes: Uint8Array, from: number, to: number): string {
  for (const known of knownTypes) if (isHere(known.bytes, bytes, from, to)) return known.text;
  return textIn(bytes, from, to);
}

function isHere(wanted: Uint8Array, bytes: Uint8Array, from: number, to: number): boolean {
  if (to - from !== wanted.length) return false;
  for (let at = 0; at < wanted.length; at += 1) if (wanted[at] !== bytes[from + at]) return false;
  return true;
}
