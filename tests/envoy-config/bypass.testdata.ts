/**
 * Attempts to reach what no rule allows, and look-alikes that must pass. Past 500 lines, because it is one list of
 * data that is read from top to bottom.
 * The rules: GET and POST under /public/, GET of /exact, GET of /hosted on host `good`, GET of /keyed with x-key: k.
 */
export type BypassCase = {
  readonly name: string;
  readonly expect: Expectation;
} & (
  | { readonly http1: string }
  | { readonly http2: readonly (readonly [string, string])[]; readonly body?: string }
);

/** What becomes of it. Nothing but the listed requests (`METHOD path`) may ever reach the server. */
export type Expectation =
  /** 403 and the refusal's body. */
  | { readonly kind: 'refused' }
  /** Another refusal by the proxy: an error, a reset or a close. */
  | { readonly kind: 'rejected' }
  | { readonly kind: 'passes'; readonly server: readonly string[] };

const refused: Expectation = { kind: 'refused' };
const rejected: Expectation = { kind: 'rejected' };
const passes = (...server: readonly string[]): Expectation => ({ kind: 'passes', server });

const one = (
  name: string,
  target: string,
  expect: Expectation,
  headers = '',
  method = 'GET',
): BypassCase => ({
  name,
  http1: `${method} ${target} HTTP/1.1\r\nHost: s\r\n${headers}\r\n`,
  expect,
});

const two = (
  name: string,
  path: string,
  expect: Expectation,
  extra: readonly (readonly [string, string])[] = [],
): BypassCase => ({
  name: `h2: ${name}`,
  http2: [[':method', 'GET'], [':scheme', 'http'], [':authority', 's'], [':path', path], ...extra],
  expect,
});

const raw = (name: string, http1: string, expect: Expectation): BypassCase => ({ name, http1, expect });

/** Paths that a server may read as one outside /public/. */
const escapes: readonly (readonly [name: string, path: string])[] = [
  ['an encoded dot-dot', '/public/%2e%2e%2fprivate'],
  ['an encoded slash after dot-dot', '/public/..%2fprivate'],
  ['upper-case escapes', '/public/%2E%2E%2Fprivate'],
  ['one encoded dot and an encoded slash', '/public/.%2e%2fprivate'],
  ['the other encoded dot and an encoded slash', '/public/%2e.%2fprivate'],
  ['an encoded backslash', '/public/..%5cprivate'],
  ['an encoded backslash before', '/public/%5c..%5cprivate'],
  ['encoded slashes around', '/public/x%2f..%2f..%2fprivate'],
  ['a path parameter on dot-dot', '/public/..;/private'],
  ['a named path parameter on dot-dot', '/public/..;x=y/private'],
  ['a path parameter on encoded dot-dot', '/public/%2e%2e;/private'],
  ['dot-dot before an encoded slash and more', '/public/a/..%2f..%2fprivate/x'],
  ['a trailing encoded dot-dot', '/public/x%2f..'],
  ['dot-dot with a query', '/public/x%2f..?a=b'],
  ['a single dot in an encoded segment', '/public/%2f.%2fprivate'],
  ['dots after a double slash', '/public//..%2f..%2fprivate'],
  ['dots and parameters twice', '/public/..;a/..;b/private'],
  ['an encoded parameter on dot-dot', '/public/..%3b/private'],
  ['overlong dots', '/public/%c0%ae%c0%ae/private'],
  ['an overlong slash', '/public/..%c0%afprivate'],
  ['longer overlong dots', '/public/%e0%80%ae%e0%80%ae/private'],
  ['an overlong backslash', '/public/..%c1%9cprivate'],
];

/** Paths that normalise to something outside /public/, which no rule allows. */
const climbing: readonly (readonly [name: string, path: string])[] = [
  ['dot-dot', '/public/../private'],
  ['dot-dot twice', '/public/a/../../private'],
  ['encoded dots, plain slashes', '/public/%2e%2e/private'],
  ['half-encoded dots', '/public/.%2e/private'],
  ['the other half', '/public/%2e./private'],
  ['a trailing dot-dot', '/public/..'],
  ['a backslash', '/public\\..\\private'],
  ['a backslash after a slash', '/public/..\\private'],
  ['more dot-dots than segments', '/public/../../../private'],
  ['a dot and a dot-dot', '/public/./../private'],
];

/** Spellings of a path that no rule lists. */
const misspelt: readonly (readonly [name: string, path: string])[] = [
  ['a prefix without its slash', '/public'],
  ['another case', '/PUBLIC/x'],
  ['a longer first segment', '/publicity/x'],
  ['an escaped slash in the prefix', '/public%2fx'],
  ['a double slash in front', '//public/x'],
  ['an exact path with a slash', '/exact/'],
  ['an exact path with a query', '/exact?x'],
  ['an exact path with a parameter', '/exact;x'],
  ['an exact path in another case', '/Exact'],
  ['an exact path with a trailing space escape', '/exact%20'],
  ['a private path with the public one in its query', '/private?/public/x'],
  ['a private path with the public one after it', '/private/public/x'],
  ['the root', '/'],
];

/** What looks like an attempt and is none. */
const lookalikes: readonly (readonly [name: string, path: string, server?: string])[] = [
  ['a plain path', '/public/a'],
  ['a query', '/public/a?b=c'],
  ['dots inside a name', '/public/a..b/c.d'],
  ['three dots', '/public/.../a'],
  ['a hidden file', '/public/.well-known/x'],
  ['a name that begins with two dots', '/public/..data/x'],
  ['a name that ends in dots', '/public/v1../x'],
  ['an escaped slash', '/public/a%2Fb'],
  ['an escaped percent sign', '/public/100%25'],
  ['a parameter', '/public/a;v=1/b'],
  ['dots in the query', '/public/a?path=../../x'],
  ['encoded dots in the query', '/public/a?p=%2e%2e%2fx'],
  ['a double slash', '/public//a'],
  ['a trailing slash', '/public/a/'],
  ['nothing after the prefix', '/public/'],
  ['a dot segment that stays inside', '/public/a/../b', '/public/b'],
  ['a single dot segment', '/public/./a', '/public/a'],
  ['UTF-8 in escapes', '/public/%C3%A9'],
  ['Latin-1 in escapes', '/public/%C0%E9'],
  ['dots before an encoded semicolon in a name', '/public/a..%3Bb'],
  ['the exact path', '/exact'],
  ['an escape of a plain letter in the prefix', '/%70ublic/x', '/public/x'],
  ['an escape of a plain letter in an exact path', '/ex%61ct', '/exact'],
];

const chunked = 'Transfer-Encoding: chunked\r\n';
const smuggled = 'GET /private HTTP/1.1\r\nHost: s\r\n\r\n';

export const bypassCases: readonly BypassCase[] = [
  ...escapes.flatMap(([name, path]) => [one(name, path, refused), two(name, path, refused)]),
  ...climbing.flatMap(([name, path]) => [one(name, path, refused), two(name, path, refused)]),
  ...misspelt.flatMap(([name, path]) => [one(name, path, refused), two(name, path, refused)]),
  ...lookalikes.flatMap(([name, path, server = path]) => [
    one(name, path, passes(`GET ${server}`)),
    two(name, path, passes(`GET ${server}`)),
  ]),
  one('a null byte escape before dots', '/public/%00/../../private', rejected),
  one('a fragment', '/public/a#/../private', rejected),
  one('raw bytes that are no UTF-8 in the query', '/public/a?\xff\xfe', rejected),
  one('a space in the target', '/public/a /private', rejected),
  one('a tab in the target', '/public/a\t/private', rejected),
  one('a method in lower case', '/public/a', refused, '', 'get'),
  one('a method that is longer', '/public/a', refused, '', 'GETX'),
  one('a method nobody allows', '/public/a', refused, '', 'DELETE'),
  one('TRACE', '/public/a', refused, '', 'TRACE'),
  one('a null byte escape after an exact path', '/exact%00', rejected),
  one('the asterisk', '*', refused, '', 'OPTIONS'),
  one('CONNECT', 's:443', refused, '', 'CONNECT'),
  one('CONNECT to a path', '/public/a', rejected, '', 'CONNECT'),
  one('a method override', '/exact', passes('GET /exact'), 'X-HTTP-Method-Override: DELETE\r\n'),
  one('a rewritten URL', '/private', refused, 'X-Original-URL: /public/a\r\nX-Rewrite-URL: /public/a\r\n'),
  one('an original path of Envoy', '/private', refused, 'x-envoy-original-path: /public/a\r\n'),
  one('a forwarded host', '/hosted', refused, 'X-Forwarded-Host: good\r\n'),
  raw('the absolute form of a private path', 'GET http://s/private HTTP/1.1\r\nHost: s\r\n\r\n', refused),
  raw(
    'the absolute form with the public path',
    'GET http://s/public/a HTTP/1.1\r\nHost: s\r\n\r\n',
    passes('GET /public/a'),
  ),
  raw(
    'the absolute form whose host is refused',
    'GET http://bad/hosted HTTP/1.1\r\nHost: good\r\n\r\n',
    refused,
  ),
  raw(
    'the absolute form whose host is good',
    'GET http://good/hosted HTTP/1.1\r\nHost: bad\r\n\r\n',
    passes('GET /hosted'),
  ),
  raw(
    'the absolute form with user and password',
    'GET http://good@bad/hosted HTTP/1.1\r\nHost: s\r\n\r\n',
    refused,
  ),
  raw('the good host', 'GET /hosted HTTP/1.1\r\nHost: good\r\n\r\n', passes('GET /hosted')),
  raw('the good host with a port', 'GET /hosted HTTP/1.1\r\nHost: good:8080\r\n\r\n', passes('GET /hosted')),
  raw('a host with a dot at its end', 'GET /hosted HTTP/1.1\r\nHost: good.\r\n\r\n', refused),
  raw('a host in another case', 'GET /hosted HTTP/1.1\r\nHost: GOOD\r\n\r\n', refused),
  raw('a host with the good one as user', 'GET /hosted HTTP/1.1\r\nHost: good@bad\r\n\r\n', refused),
  raw('a host that goes on after the good one', 'GET /hosted HTTP/1.1\r\nHost: good.bad\r\n\r\n', refused),
  raw('a port that is none', 'GET /hosted HTTP/1.1\r\nHost: good:bad\r\n\r\n', refused),
  raw('two hosts', 'GET /hosted HTTP/1.1\r\nHost: bad\r\nHost: good\r\n\r\n', refused),
  raw('two hosts, the good one first', 'GET /hosted HTTP/1.1\r\nHost: good\r\nHost: bad\r\n\r\n', refused),
  raw('no host', 'GET /hosted HTTP/1.1\r\n\r\n', rejected),
  raw('HTTP/1.0 without host', 'GET /hosted HTTP/1.0\r\n\r\n', refused),
  raw('the key', 'GET /keyed HTTP/1.1\r\nHost: s\r\nX-Key: k\r\n\r\n', passes('GET /keyed')),
  raw('another key', 'GET /keyed HTTP/1.1\r\nHost: s\r\nX-Key: K\r\n\r\n', refused),
  raw('the key twice', 'GET /keyed HTTP/1.1\r\nHost: s\r\nX-Key: k\r\nX-Key: z\r\n\r\n', refused),
  raw('the key with an underscore', 'GET /keyed HTTP/1.1\r\nHost: s\r\nX_Key: k\r\n\r\n', refused),
  raw(
    'the key in a folded line',
    'GET /keyed HTTP/1.1\r\nHost: s\r\nX-Other: 1\r\n X-Key: k\r\n\r\n',
    refused,
  ),
  raw(
    'the key with a space before the colon',
    'GET /keyed HTTP/1.1\r\nHost: s\r\nX-Key : k\r\n\r\n',
    rejected,
  ),
  raw(
    'the key named in Connection',
    'GET /keyed HTTP/1.1\r\nHost: s\r\nX-Key: k\r\nConnection: X-Key\r\n\r\n',
    refused,
  ),
  raw(
    'the key in a trailer',
    `POST /keyed HTTP/1.1\r\nHost: s\r\nTrailer: X-Key\r\n${chunked}\r\n0\r\nX-Key: k\r\n\r\n`,
    refused,
  ),
  raw(
    'the host in a trailer',
    `GET /hosted HTTP/1.1\r\nHost: s\r\n${chunked}\r\n0\r\nHost: good\r\n\r\n`,
    refused,
  ),
  raw(
    'chunks in HTTP/1.0',
    `POST /public/a HTTP/1.0\r\nHost: s\r\n${chunked}\r\n0\r\n\r\n${smuggled}`,
    passes('POST /public/a'),
  ),
  raw(
    'a line break in a chunk extension',
    `POST /public/a HTTP/1.1\r\nHost: s\r\n${chunked}\r\n2;\nxx\r\n26\r\n${smuggled}\r\n0\r\n\r\n`,
    rejected,
  ),
  raw(
    'a chunk longer than its size',
    `POST /public/a HTTP/1.1\r\nHost: s\r\n${chunked}\r\n1\r\n${smuggled}\r\n0\r\n\r\n`,
    rejected,
  ),
  raw(
    'a chunk size beyond 64 bits',
    `POST /public/a HTTP/1.1\r\nHost: s\r\n${chunked}\r\n10000000000000000\r\n${smuggled}`,
    rejected,
  ),
  raw(
    'a length with a space inside',
    `POST /public/a HTTP/1.1\r\nHost: s\r\nContent-Length: 0 0\r\n\r\n${smuggled}`,
    rejected,
  ),
  raw(
    'a length beyond 64 bits',
    `POST /public/a HTTP/1.1\r\nHost: s\r\nContent-Length: 18446744073709551616\r\n\r\n${smuggled}`,
    rejected,
  ),
  raw('two spaces in the request line', 'GET  /private  /public/a HTTP/1.1\r\nHost: s\r\n\r\n', rejected),
  raw(
    'the absolute form over https',
    'GET https://s/public/a HTTP/1.1\r\nHost: s\r\n\r\n',
    passes('GET /public/a'),
  ),
  raw('the absolute form of another scheme', 'GET ftp://s/public/a HTTP/1.1\r\nHost: s\r\n\r\n', rejected),
  raw(
    'an HTTP/2 preface behind a request',
    'GET /public/a HTTP/1.1\r\nHost: s\r\n\r\nPRI * HTTP/2.0\r\n\r\nSM\r\n\r\n',
    passes('GET /public/a'),
  ),
  raw(
    'a WebSocket and another upgrade',
    'GET /public/a HTTP/1.1\r\nHost: s\r\nConnection: Upgrade\r\nUpgrade: tcp, websocket\r\n\r\n',
    refused,
  ),
  raw(
    'a WebSocket by POST on a refused path',
    'POST /private HTTP/1.1\r\nHost: s\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n',
    refused,
  ),
  raw(
    'length and chunks',
    `POST /public/a HTTP/1.1\r\nHost: s\r\nContent-Length: 4\r\n${chunked}\r\n0\r\n\r\n${smuggled}`,
    rejected,
  ),
  raw(
    'two lengths',
    `POST /public/a HTTP/1.1\r\nHost: s\r\nContent-Length: 0\r\nContent-Length: ${smuggled.length}\r\n\r\n${smuggled}`,
    rejected,
  ),
  raw(
    'two lengths in one line',
    `POST /public/a HTTP/1.1\r\nHost: s\r\nContent-Length: 0, ${smuggled.length}\r\n\r\n${smuggled}`,
    rejected,
  ),
  raw(
    'a signed length',
    `POST /public/a HTTP/1.1\r\nHost: s\r\nContent-Length: +0\r\n\r\n${smuggled}`,
    rejected,
  ),
  raw(
    'a negative length',
    `POST /public/a HTTP/1.1\r\nHost: s\r\nContent-Length: -1\r\n\r\n${smuggled}`,
    rejected,
  ),
  raw(
    'another coding',
    `POST /public/a HTTP/1.1\r\nHost: s\r\nTransfer-Encoding: xchunked\r\n\r\n0\r\n\r\n${smuggled}`,
    rejected,
  ),
  raw(
    'chunked and identity',
    `POST /public/a HTTP/1.1\r\nHost: s\r\nTransfer-Encoding: chunked, identity\r\n\r\n0\r\n\r\n${smuggled}`,
    rejected,
  ),
  raw('chunked twice', `POST /public/a HTTP/1.1\r\nHost: s\r\n${chunked}${chunked}\r\n0\r\n\r\n`, rejected),
  raw(
    'a vertical tab in the coding',
    `POST /public/a HTTP/1.1\r\nHost: s\r\nTransfer-Encoding: \x0bchunked\r\n\r\n0\r\n\r\n${smuggled}`,
    rejected,
  ),
  raw(
    'a chunk size that is none',
    `POST /public/a HTTP/1.1\r\nHost: s\r\n${chunked}\r\n0x0\r\n\r\n${smuggled}`,
    rejected,
  ),
  raw('a request behind an allowed one', `GET /public/a HTTP/1.1\r\nHost: s\r\n\r\n${smuggled}`, {
    kind: 'passes',
    server: ['GET /public/a'],
  }),
  raw(
    'a request in the body of an allowed one',
    `POST /public/a HTTP/1.1\r\nHost: s\r\nContent-Length: ${smuggled.length}\r\n\r\n${smuggled}`,
    passes('POST /public/a'),
  ),
  raw(
    'a line break without return in a header',
    'GET /public/a HTTP/1.1\r\nHost: s\r\nX-A: 1\nX-Key: k\r\n\r\n',
    passes('GET /public/a'),
  ),
  raw(
    'a return inside a value',
    'GET /public/a HTTP/1.1\r\nHost: s\r\nX-A: 1\rX-Key: k\r\n\r\n',
    passes('GET /public/a'),
  ),
  raw('a zero byte in a value', 'GET /public/a HTTP/1.1\r\nHost: s\r\nX-A: 1\0\r\n\r\n', rejected),
  raw('HTTP/0.9 to a private path', 'GET /private\r\n\r\n', refused),
  raw('a version nobody speaks to a private path', 'GET /private HTTP/3.0\r\nHost: s\r\n\r\n', refused),
  raw('two hosts on a path for any host', 'GET /public/a HTTP/1.1\r\nHost: s\r\nHost: t\r\n\r\n', refused),
  raw(
    'a user name in the host on a path for any host',
    'GET /public/a HTTP/1.1\r\nHost: u@s\r\n\r\n',
    refused,
  ),
  raw('a slash in the host', 'GET /public/a HTTP/1.1\r\nHost: s/private\r\n\r\n', rejected),
  raw('HTTP/0.9', 'GET /public/a\r\n\r\n', passes('GET /public/a')),
  raw('a version nobody speaks', 'GET /public/a HTTP/3.0\r\nHost: s\r\n\r\n', passes('GET /public/a')),
  raw(
    'an upgrade to something else',
    'GET /public/a HTTP/1.1\r\nHost: s\r\nConnection: Upgrade\r\nUpgrade: tcp\r\n\r\n',
    refused,
  ),
  raw(
    'an upgrade on a refused path',
    'GET /private HTTP/1.1\r\nHost: s\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n',
    refused,
  ),
  raw(
    'headers beyond the limit',
    `GET /public/a HTTP/1.1\r\nHost: s\r\nX-Big: ${'a'.repeat(100 * 1024)}\r\n\r\n`,
    rejected,
  ),
  raw(
    'more headers than the limit',
    `GET /public/a HTTP/1.1\r\nHost: s\r\n${'X-Many: 1\r\n'.repeat(210)}\r\n`,
    rejected,
  ),
  two('the key twice', '/keyed', refused, [
    ['x-key', 'k'],
    ['x-key', 'z'],
  ]),
  two('the key in another case of its value', '/keyed', refused, [['x-key', 'K']]),
  two('a path and query of another', '/private?/public/a', refused),
  two('te other than trailers', '/public/a', rejected, [['te', 'gzip']]),
  two('an upgrade header', '/public/a', rejected, [['upgrade', 'websocket']]),
  two('a proxy-connection header', '/public/a', rejected, [['proxy-connection', 'keep-alive']]),
  {
    name: 'h2: an empty authority',
    http2: [
      [':method', 'GET'],
      [':scheme', 'http'],
      [':authority', ''],
      [':path', '/hosted'],
    ],
    expect: rejected,
  },
  {
    name: 'h2: no authority but a host',
    http2: [
      [':method', 'GET'],
      [':scheme', 'http'],
      [':path', '/hosted'],
      ['host', 'bad'],
    ],
    expect: refused,
  },
  {
    name: 'h2: a scheme that is none',
    http2: [
      [':method', 'GET'],
      [':scheme', 'no scheme'],
      [':authority', 's'],
      [':path', '/public/a'],
    ],
    expect: rejected,
  },
  two('the good host', '/hosted', refused),
  two('a host header beside the authority', '/hosted', refused, [['host', 'good']]),
  {
    name: 'h2: the path twice',
    http2: [
      [':method', 'GET'],
      [':scheme', 'http'],
      [':authority', 's'],
      [':path', '/public/a'],
      [':path', '/private'],
    ],
    expect: rejected,
  },
  {
    name: 'h2: the method twice',
    http2: [
      [':method', 'GET'],
      [':method', 'DELETE'],
      [':scheme', 'http'],
      [':authority', 's'],
      [':path', '/public/a'],
    ],
    expect: rejected,
  },
  {
    name: 'h2: the authority twice',
    http2: [
      [':method', 'GET'],
      [':scheme', 'http'],
      [':authority', 'bad'],
      [':authority', 'good'],
      [':path', '/hosted'],
    ],
    expect: rejected,
  },
  {
    name: 'h2: a pseudo header after a header',
    http2: [
      [':method', 'GET'],
      [':scheme', 'http'],
      [':authority', 's'],
      ['x-a', '1'],
      [':path', '/public/a'],
    ],
    expect: rejected,
  },
  {
    name: 'h2: an unknown pseudo header',
    http2: [
      [':method', 'GET'],
      [':scheme', 'http'],
      [':authority', 's'],
      [':path', '/public/a'],
      [':evil', '1'],
    ],
    expect: rejected,
  },
  {
    name: 'h2: no path',
    http2: [
      [':method', 'GET'],
      [':scheme', 'http'],
      [':authority', 's'],
    ],
    expect: rejected,
  },
  {
    name: 'h2: an empty path',
    http2: [
      [':method', 'GET'],
      [':scheme', 'http'],
      [':authority', 's'],
      [':path', ''],
    ],
    expect: rejected,
  },
  {
    name: 'h2: a path without slash',
    http2: [
      [':method', 'GET'],
      [':scheme', 'http'],
      [':authority', 's'],
      [':path', 'public/a'],
    ],
    expect: rejected,
  },
  {
    name: 'h2: the absolute form',
    http2: [
      [':method', 'GET'],
      [':scheme', 'http'],
      [':authority', 's'],
      [':path', 'http://s/public/a'],
    ],
    expect: rejected,
  },
  {
    name: 'h2: a header in upper case',
    http2: [
      [':method', 'GET'],
      [':scheme', 'http'],
      [':authority', 's'],
      [':path', '/public/a'],
      ['X-Key', 'k'],
    ],
    expect: rejected,
  },
  {
    name: 'h2: a connection header',
    http2: [
      [':method', 'GET'],
      [':scheme', 'http'],
      [':authority', 's'],
      [':path', '/public/a'],
      ['connection', 'keep-alive'],
    ],
    expect: rejected,
  },
  {
    name: 'h2: transfer-encoding',
    http2: [
      [':method', 'POST'],
      [':scheme', 'http'],
      [':authority', 's'],
      [':path', '/public/a'],
      ['transfer-encoding', 'chunked'],
    ],
    body: `0\r\n\r\n${smuggled}`,
    expect: rejected,
  },
  {
    name: 'h2: a line break in a value',
    http2: [
      [':method', 'GET'],
      [':scheme', 'http'],
      [':authority', 's'],
      [':path', '/public/a'],
      ['x-a', '1\r\nx-key: k'],
    ],
    expect: rejected,
  },
  {
    name: 'h2: a line break in the path',
    http2: [
      [':method', 'GET'],
      [':scheme', 'http'],
      [':authority', 's'],
      [':path', '/public/a HTTP/1.1\r\nHost: s\r\n\r\nGET /private'],
    ],
    expect: rejected,
  },
  {
    name: 'h2: a space in the method',
    http2: [
      [':method', 'GET /private HTTP/1.1'],
      [':scheme', 'http'],
      [':authority', 's'],
      [':path', '/public/a'],
    ],
    expect: rejected,
  },
  {
    name: 'h2: a length that is wrong',
    http2: [
      [':method', 'POST'],
      [':scheme', 'http'],
      [':authority', 's'],
      [':path', '/public/a'],
      ['content-length', '2'],
    ],
    body: 'more',
    expect: rejected,
  },
  {
    name: 'h2: CONNECT',
    http2: [
      [':method', 'CONNECT'],
      [':authority', 's:443'],
    ],
    expect: refused,
  },
  {
    name: 'h2: an extended CONNECT to something else',
    http2: [
      [':method', 'CONNECT'],
      [':protocol', 'tcp'],
      [':scheme', 'http'],
      [':authority', 's'],
      [':path', '/public/a'],
    ],
    expect: refused,
  },
  {
    name: 'h2: a WebSocket on a refused path',
    http2: [
      [':method', 'CONNECT'],
      [':protocol', 'websocket'],
      [':scheme', 'http'],
      [':authority', 's'],
      [':path', '/private'],
    ],
    expect: refused,
  },
];
