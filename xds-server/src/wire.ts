/** Length-delimited protobuf fields written in place, where thousands are written at once. */

/** Bytes of a varint. */
export function varintBytes(value: number): number {
  let bytes = 1;
  for (let rest = value; rest >= 0x80; rest = Math.floor(rest / 0x80)) bytes += 1;
  return bytes;
}

/** Bytes of a field with this many bytes in it, whose number is below 16. */
export function fieldBytes(bodyBytes: number): number {
  return 1 + varintBytes(bodyBytes) + bodyBytes;
}

/** Writes tag and length of a field, and returns where its body begins. */
export function writeHead(into: Uint8Array, at: number, field: number, bodyBytes: number): number {
  into[at] = (field << 3) | 2;
  let next = at + 1;
  let rest = bodyBytes;
  for (; rest >= 0x80; rest = Math.floor(rest / 0x80)) {
    into[next] = (rest % 0x80) | 0x80;
    next += 1;
  }
  into[next] = rest;
  return next + 1;
}

/** Writes a text whose length in UTF-8 is known, and returns where it ends. */
export function writeText(into: Buffer, at: number, field: number, text: string, textBytes: number): number {
  const body = writeHead(into, at, field, textBytes);
  into.write(text, body, 'utf8');
  return body + textBytes;
}
