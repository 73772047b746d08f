/** Just enough HTTP/2 (RFC 9113) to say what no client library would say. */

/** Preface and empty SETTINGS. */
export const h2Preface = 'PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0';

const type = { data: 0, headers: 1, reset: 3, settings: 4, goaway: 7 } as const;
const flag = { endStream: 1, endHeaders: 4 } as const;

/** A HEADERS frame on stream 1 with the fields in this order, as literals that are not indexed. */
export function h2Headers(fields: readonly (readonly [string, string])[], endStream: boolean): string {
  const block = fields.map(([name, value]) => `\0${literal(name)}${literal(value)}`).join('');
  return frame(type.headers, flag.endHeaders | (endStream ? flag.endStream : 0), block);
}

/** A DATA frame on stream 1 that ends it. */
export function h2Data(body: string): string {
  return frame(type.data, flag.endStream, body);
}

/** What came back on stream 1. */
export interface H2Outcome {
  readonly body: string;
  readonly ended: boolean;
  readonly reset: boolean;
  readonly goaway: boolean;
}

/** Reads the frames that are whole. */
export function h2Outcome(received: string): H2Outcome {
  let outcome: H2Outcome = { body: '', ended: false, reset: false, goaway: false };
  for (let at = 0; at + 9 <= received.length; ) {
    const length = (byte(received, at) << 16) | (byte(received, at + 1) << 8) | byte(received, at + 2);
    const kind = byte(received, at + 3);
    const flags = byte(received, at + 4);
    const payload = received.slice(at + 9, at + 9 + length);
    at += 9 + length;
    if (at > received.length) break;
    const ended = (kind === type.data || kind === type.headers) && (flags & flag.endStream) !== 0;
    outcome = {
      body: outcome.body + (kind === type.data ? payload : ''),
      ended: outcome.ended || ended,
      reset: outcome.reset || kind === type.reset,
      goaway: outcome.goaway || kind === type.goaway,
    };
  }
  return outcome;
}

function frame(kind: number, flags: number, payload: string): string {
  const { length } = payload;
  return (
    String.fromCharCode(length >> 16, (length >> 8) & 255, length & 255, kind, flags, 0, 0, 0, 1) + payload
  );
}

/** A string without Huffman code (RFC 7541, 5.2). */
function literal(text: string): string {
  if (text.length < 127) return String.fromCharCode(text.length) + text;
  const bytes = [127];
  let rest = text.length - 127;
  for (; rest >= 128; rest >>= 7) bytes.push((rest & 127) | 128);
  return String.fromCharCode(...bytes, rest) + text;
}

function byte(text: string, at: number): number {
  return text.charCodeAt(at);
}
