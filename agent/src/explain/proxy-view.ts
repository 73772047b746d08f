import { defaultLimits, plainHost, traversal } from '@weir/envoy-config';
import type { HttpRequest, PatternMatcher } from '@weir/l7-policy';

/** The head of a request as a client sends it. */
export interface RequestHead {
  readonly method: string;
  /** The request target as written: a path, or the absolute form. */
  readonly target: string;
  /** `1.1`; `0.9` for a request line without one; '' when it does not matter. */
  readonly version: string;
  readonly headers: readonly (readonly [name: string, value: string])[];
}

/** What the proxy makes of a request before any rule of a policy sees it (docs/http.md, docs/security.md). */
export type ProxyView =
  | { readonly kind: 'refused'; readonly status: number; readonly why: string }
  | {
      readonly kind: 'passes';
      readonly request: HttpRequest;
      /** What is not as the client wrote it. */
      readonly changes: readonly string[];
    };

/** Reads a request head as Envoy does with the settings of Weir's listeners. */
export function proxyView(head: RequestHead, patterns: PatternMatcher): ProxyView {
  const framing = framingFault(head) ?? limitFault(head);
  if (framing !== null) return framing;
  if (head.method === 'CONNECT')
    return refuse(403, 'CONNECT makes a tunnel whose requests nobody could judge');
  const upgrade = valuesOf(head, 'upgrade').join(',').toLowerCase();
  const upgrades = valuesOf(head, 'connection').some((value) => /\bupgrade\b/i.test(value));
  if (upgrades && upgrade !== '' && upgrade !== 'websocket' && upgrade !== 'h2c') {
    return refuse(403, `an upgrade to ${upgrade} makes a tunnel; only websocket may pass`);
  }
  const changes: string[] = [];
  const absolute = /^https?:\/\/([^/?#]*)(.*)$/i.exec(head.target);
  const target = absolute === null ? head.target : absolute[2] === '' ? '/' : (absolute[2] ?? '/');
  const host = hostOf(head, absolute?.[1], changes);
  if (host === null) return refuse(400, 'an HTTP/1.1 request must have a Host header (RFC 9112, 3.2)');
  if (target.includes('#')) return refuse(400, 'the request target has a fragment (#)');
  if (target !== '*' && !target.startsWith('/')) {
    return refuse(400, `the request target \`${target}\` is neither a path nor an absolute form`);
  }
  if (!isUtf8(target)) return refuse(403, 'the path is no valid UTF-8');
  const path = target === '*' ? target : normalizePath(target);
  if (path === null) return refuse(400, 'the path holds a zero byte (%00)');
  if (path !== target) changes.push(`the path is normalised to \`${path}\``);
  if (patterns.fullMatch(traversal, path)) {
    return refuse(403, 'the path has a dot segment in disguise, which a server may read as another path');
  }
  if (!patterns.fullMatch(plainHost, host)) return refuse(403, `the host \`${host}\` is none`);
  const oneHop = new Set(
    valuesOf(head, 'connection').flatMap((value) => value.toLowerCase().split(/[ \t]*,[ \t]*/)),
  );
  // A WebSocket's is what the server must see.
  oneHop.delete('upgrade');
  const headers = head.headers.filter(([name]) => {
    const removed = /^x-envoy-/i.test(name) || oneHop.has(name.toLowerCase());
    if (removed) changes.push(`the header ${name} is removed`);
    return !removed;
  });
  if (upgrade === 'h2c') changes.push('the offer to upgrade to h2c is removed');
  return {
    kind: 'passes',
    request: { kind: 'http', method: head.method, path, host, headers },
    changes,
  };
}

function refuse(status: number, why: string): ProxyView & { kind: 'refused' } {
  return { kind: 'refused', status, why };
}

/** What leaves the end of the body in doubt, or a header that is none. */
function framingFault(head: RequestHead): (ProxyView & { kind: 'refused' }) | null {
  for (const [name, value] of head.headers) {
    if (!/^[!#$%&'*+\-.^_`|~0-9A-Za-z]+$/.test(name)) return refuse(400, `"${name}" is no header name`);
    if (/[\0\r\n]/.test(value)) return refuse(400, `the value of ${name} holds a zero byte or a line break`);
  }
  const lengths = valuesOf(head, 'content-length');
  const codings = valuesOf(head, 'transfer-encoding');
  if (lengths.length > 1) return refuse(400, 'it has several Content-Length headers');
  if (lengths.some((length) => !/^[0-9]+$/.test(length)))
    return refuse(400, `Content-Length \`${lengths[0]}\` is no number`);
  if (lengths.some((length) => BigInt(length) >= 1n << 64n))
    return refuse(400, `Content-Length \`${lengths[0]}\` is beyond 64 bits`);
  if (codings.length > 1 || codings.some((coding) => coding.toLowerCase() !== 'chunked')) {
    return refuse(400, `Transfer-Encoding \`${codings.join(', ')}\` is not just chunked`);
  }
  return lengths.length > 0 && codings.length > 0
    ? refuse(400, 'it has both Content-Length and Transfer-Encoding')
    : null;
}

function limitFault({ method, target, headers }: RequestHead): (ProxyView & { kind: 'refused' }) | null {
  const { requestHeadersCount, requestHeadersKiB } = defaultLimits;
  if (headers.length > requestHeadersCount)
    return refuse(431, `it has more than ${requestHeadersCount} headers`);
  const bytes = headers.reduce((sum, [name, value]) => sum + name.length + value.length + 4, 0);
  return bytes + method.length + target.length > requestHeadersKiB * 1024
    ? refuse(431, `its headers are larger than ${requestHeadersKiB} KiB`)
    : null;
}

/** The `:authority` that rules see; null where there must be one and is none. */
function hostOf(head: RequestHead, absolute: string | undefined, changes: string[]): string | null {
  if (absolute !== undefined) {
    changes.push(`the absolute form becomes the origin form; its host \`${absolute}\` counts`);
    return absolute;
  }
  const hosts = valuesOf(head, 'host');
  if (hosts.length > 0) return hosts.join(',');
  if (head.version === '') return '';
  if (head.version !== '1.0' && head.version !== '0.9') return null;
  changes.push('a request of HTTP/1.0 or older without Host gets the host `http10.invalid`');
  return 'http10.invalid';
}

function valuesOf({ headers }: RequestHead, name: string): readonly string[] {
  return headers.filter(([key]) => key.toLowerCase() === name).map(([, value]) => value);
}

/** Texts hold one byte per character, or any character that stands for itself. */
function isUtf8(text: string): boolean {
  if (!/[\x80-\xff]/.test(text)) return text.isWellFormed();
  try {
    new TextDecoder('utf-8', { fatal: true }).decode(Uint8Array.from(text, (char) => char.charCodeAt(0)));
    return true;
  } catch {
    return false;
  }
}

/**
 * Envoy's `normalize_path`: backslashes are slashes, escapes of unreserved characters are decoded, characters that
 * no path may hold are escaped, dot segments are removed. Queries stay. null: a zero byte, which is refused.
 */
function normalizePath(target: string): string | null {
  const at = target.indexOf('?');
  const query = at < 0 ? '' : target.slice(at);
  const path = (at < 0 ? target : target.slice(0, at))
    .replaceAll('\\', '/')
    .replaceAll(/%[0-9A-Fa-f]{2}/g, (written) => {
      const char = String.fromCharCode(Number.parseInt(written.slice(1), 16));
      return /[A-Za-z0-9._~-]/.test(char) ? char : written;
    })
    .replaceAll(/[\0-\x20"<>^`{|}\x7f-\uffff]/g, escapeChar);
  if (path.includes('%00')) return null;
  const segments: string[] = [];
  const parts = path.split('/').slice(1);
  for (const [index, part] of parts.entries()) {
    const last = index === parts.length - 1;
    if (part === '..') segments.pop();
    else if (part !== '.') segments.push(part);
    if (last && (part === '..' || part === '.')) segments.push('');
  }
  return `/${segments.join('/')}${query}`;
}

function escapeChar(char: string): string {
  const bytes = char.charCodeAt(0) < 256 ? [char.charCodeAt(0)] : [...Buffer.from(char, 'utf8')];
  return bytes.map((byte) => `%${byte.toString(16).toUpperCase().padStart(2, '0')}`).join('');
}
