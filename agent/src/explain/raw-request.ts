import { HTTPParser } from 'http-parser-js';
import type { RequestHead } from './proxy-view.ts';

/** What stands in a raw HTTP/1 request. `unreadable`: no parser would take it, so that nothing reaches a server. */
export type RawRequest =
  | { readonly kind: 'read'; readonly head: RequestHead; readonly notes: readonly string[] }
  | { readonly kind: 'unreadable'; readonly why: string };

/** Bytes are characters, as in Envoy: the parser's own default drops every eighth bit. */
HTTPParser.encoding = 'latin1';

/**
 * Reads the first request of some bytes with http-parser-js. What it overlooks is looked for before; what it is
 * stricter about than Envoy (methods, versions, a lone carriage return) is kept from it.
 */
export function readRawRequest(bytes: Buffer): RawRequest {
  const text = bytes.toString('latin1');
  const fault = headFault(text);
  if (fault !== null) return { kind: 'unreadable', why: fault };
  const line = /^([^ \r\n]+) ([^ \r\n]+)(?: HTTP\/([0-9]\.[0-9]))?\r?\n/.exec(text);
  if (line === null) return { kind: 'unreadable', why: 'the first line is no request line' };
  const [whole, method = '', target = '', version = '0.9'] = line;
  const rest = text.slice(whole.length).replaceAll(/\r(?!\n)/g, ' ');
  const { headers, heads, bodies, error } = parseMessages(`GET ${target} HTTP/1.1\r\n${rest}`);
  if (headers === null) {
    return { kind: 'unreadable', why: error ?? 'the headers do not end with an empty line' };
  }
  const notes = [
    ...(heads > 1 ? [`${heads} requests are in the file; only the first is judged`] : []),
    ...(bodies === 0 && error === null ? ['the body is not complete'] : []),
    ...(error !== null && heads === 1 ? [`what follows the first request is none: ${error}`] : []),
  ];
  return { kind: 'read', head: { method, target, version, headers: pairs(headers) }, notes };
}

interface Messages {
  /** Of the first message; null when they do not end. */
  readonly headers: readonly string[] | null;
  readonly heads: number;
  readonly bodies: number;
  readonly error: string | null;
}

function parseMessages(text: string): Messages {
  const parser = new HTTPParser(HTTPParser.REQUEST);
  parser.maxHeaderSize = 1 << 20;
  let first: readonly string[] | null = null;
  let heads = 0;
  let bodies = 0;
  parser.onHeadersComplete = ({ headers }) => {
    first ??= [...headers];
    heads += 1;
  };
  parser.onMessageComplete = () => {
    bodies += 1;
  };
  const outcome = parser.execute(Buffer.from(text, 'latin1'));
  return { headers: first, heads, bodies, error: outcome instanceof Error ? outcome.message : null };
}

/** Faults of a head, and of chunks behind it, that http-parser-js lets pass and Envoy does not. */
function headFault(text: string): string | null {
  const end = /\r?\n\r?\n/.exec(text);
  const lines = text.slice(0, end?.index ?? text.length).split(/\r?\n/);
  for (const [index, line] of lines.entries()) {
    if (index === 0) {
      if (line.split(' ').length > 3) return 'the request line has more than three parts';
      if (line.includes('\t')) return 'the request line holds a tab';
    } else if (!/^[ \t]/.test(line) && !/^[!#$%&'*+\-.^_`|~0-9A-Za-z]+:/.test(line)) {
      return `line ${index + 1} is no header: \`${line.slice(0, 60)}\``;
    }
  }
  const chunked = lines.some((line) => /^transfer-encoding:\s*chunked\s*$/i.test(line));
  const body = end === null ? '' : text.slice(end.index + end[0].length);
  return chunked ? chunkFault(body) : null;
}

/** The first chunk that is none, as far as the body goes. */
function chunkFault(body: string): string | null {
  for (let rest = body; rest !== ''; ) {
    const line = /^([0-9A-Fa-f]+)[ \t]*(?:;[^\r\n]*\r)?\r?\n/.exec(rest);
    if (line === null)
      return /^[0-9A-Fa-f]+[ \t]*;[^\r\n]*\n/.test(rest)
        ? 'a chunk extension ends with a bare line feed'
        : 'the size of a chunk is no hexadecimal number';
    const [whole, digits = ''] = line;
    if (/^0*$/.test(digits)) return null;
    if (digits.replace(/^0+/, '').length > 16) return `the size of a chunk, ${digits}, is beyond 64 bits`;
    const end = whole.length + Number.parseInt(digits, 16);
    const after = rest.slice(end);
    if (after !== '' && !/^\r?(\n|$)/.test(after)) return 'a chunk is longer than its size';
    rest = after.replace(/^\r?\n?/, '');
  }
  return null;
}

function pairs(flat: readonly string[]): readonly (readonly [string, string])[] {
  const result: (readonly [string, string])[] = [];
  for (let i = 0; i + 1 < flat.length; i += 2) result.push([flat[i] ?? '', flat[i + 1] ?? '']);
  return result;
}
