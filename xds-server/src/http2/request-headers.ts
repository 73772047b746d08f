import type { Header } from './hpack.ts';

/** A request's headers by name, in lower case; several values of one name are joined by commas. */
export type RequestHeaders = ReadonlyMap<string, string>;

const required = [':method', ':scheme', ':path'];
const pseudo: ReadonlySet<string> = new Set([...required, ':authority']);
const ofConnections: ReadonlySet<string> = new Set([
  'connection',
  'keep-alive',
  'proxy-connection',
  'transfer-encoding',
  'upgrade',
]);

/** By the list: the first one of a connection is shared by many. */
const read = new WeakMap<readonly Header[], RequestHeaders | string>();

/** What a well-formed request says, or why it is malformed (RFC 9113, 8.2 and 8.3). */
export function requestHeaders(list: readonly Header[]): RequestHeaders | string {
  const known = read.get(list) ?? headersOf(list);
  read.set(list, known);
  return known;
}

function headersOf(list: readonly Header[]): RequestHeaders | string {
  const headers = new Map<string, string>();
  let regular = false;
  for (const [name, value] of list) {
    if (name.startsWith(':')) {
      if (regular || headers.has(name) || !pseudo.has(name)) return `${name} may not stand there`;
      headers.set(name, value);
      continue;
    }
    regular = true;
    if (!/^[!#$%&'*+.^_`|~0-9a-z-]+$/.test(name)) return 'a header name is malformed';
    if (ofConnections.has(name) || (name === 'te' && value !== 'trailers'))
      return `${name} may not stand there`;
    const before = headers.get(name);
    headers.set(name, before === undefined ? value : `${before},${value}`);
  }
  const missing = required.find((name) => (headers.get(name) ?? '') === '');
  return missing === undefined ? headers : `${missing} is missing`;
}
