/** One byte stream, sent directly and through the proxy. */
export interface TransparencyCase {
  readonly name: string;
  /** Bytes of the client; the test adds the server's answer to the head of each request. */
  readonly request: string;
  /** Bytes of the server. */
  readonly answer: string;
  /** The client's last byte is its FIN. */
  readonly halfClose?: boolean;
  /** The server closes after its answer. */
  readonly serverCloses?: boolean;
  /** What cannot be equal, and why; docs/http.md says the same in more words. */
  readonly differs?: Difference;
}

/** Replacements that turn what an end sees directly into what it sees through the proxy. */
export interface Difference {
  readonly reason: string;
  /** Each end sees what it sees directly or nothing, as it happens. */
  readonly races?: true;
  readonly server?: readonly Replacement[];
  readonly client?: readonly Replacement[];
}

/** The test writes `*` for the value of a date that the proxy made. */
export type Replacement = readonly [direct: string, proxied: string];

const ok = 'HTTP/1.1 200 OK\r\nDate: then\r\nContent-Length: 2\r\n\r\nok';
const get = (path: string, headers = '', version = '1.1') =>
  `GET ${path} HTTP/${version}\r\nHost: s\r\n${headers}\r\n`;
const post = (headers: string, body: string) => `POST /p HTTP/1.1\r\nHost: s\r\n${headers}\r\n${body}`;

export const transparencyCases: readonly TransparencyCase[] = [
  {
    name: 'header case, order and duplicates',
    request: get(
      '/',
      'X-Case: V\r\naCCept: */*\r\nX-Dup: 1\r\nX-Dup: 2\r\nCookie: a=1; b=2\r\nX-Under_Score: 1\r\nUser-Agent: u\r\n',
    ),
    answer: ok,
  },
  { name: 'an empty header value', request: get('/', 'X-Empty: \r\n'), answer: ok },
  {
    name: 'a fragment',
    request: get('/a?b=c%20d&e=%2F#f'),
    answer: ok,
    differs: {
      reason: 'a request target has no fragment (RFC 9112, 3.2)',
      server: [['GET /a?b=c%20d&e=%2F#f HTTP/1.1\r\nHost: s\r\n\r\n', '']],
      client: [[ok, `HTTP/1.1 400 Bad Request\r\ndate: *\r\nconnection: close\r\ncontent-length: 0\r\n\r\n`]],
    },
  },
  { name: 'an escaped slash and double slashes', request: get('/a%2Fb//c'), answer: ok },
  { name: 'semicolons and dots in names', request: get('/a;v=1/..b/.c/d..'), answer: ok },
  {
    name: 'forwarding headers of the client',
    request: get(
      '/',
      'X-Forwarded-For: 1.2.3.4\r\nX-Forwarded-Proto: https\r\nX-Forwarded-Host: h\r\nForwarded: for=x\r\nVia: 1.1 v\r\nX-Request-Id: r\r\nX-Forwarded-Client-Cert: c\r\nX-Real-Ip: 1\r\n',
    ),
    answer: ok,
    differs: {
      reason:
        'x-forwarded-proto is set aside while Envoy would add its own, and comes back as the last header',
      server: [
        ['X-Forwarded-Proto: https\r\n', ''],
        ['\r\n\r\n', '\r\nX-Forwarded-Proto: https\r\n\r\n'],
      ],
    },
  },
  { name: 'a body with a length', request: post('Content-Length: 5\r\n', 'hello'), answer: ok },
  {
    name: 'a body in chunks',
    request: post('Transfer-Encoding: chunked\r\n', '5\r\nhello\r\n0\r\n\r\n'),
    answer: ok,
  },
  {
    name: 'request trailers',
    request: post('Transfer-Encoding: chunked\r\nTrailer: X-Sum\r\n', '5\r\nhello\r\n0\r\nX-Sum: 1\r\n\r\n'),
    answer: ok,
    differs: {
      reason: 'Envoy writes Transfer-Encoding last and trailers in lower case',
      server: [
        [
          'Transfer-Encoding: chunked\r\nTrailer: X-Sum\r\n',
          'Trailer: X-Sum\r\nTransfer-Encoding: chunked\r\n',
        ],
        ['X-Sum: 1', 'x-sum: 1'],
      ],
    },
  },
  {
    name: 'an expectation',
    request: post('Content-Length: 2\r\nExpect: 100-continue\r\n', 'hi'),
    answer: `HTTP/1.1 100 Continue\r\n\r\n${ok}`,
  },
  { name: 'early hints', request: get('/'), answer: `HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n${ok}` },
  { name: 'two requests at once', request: get('/1') + get('/2'), answer: ok },
  {
    name: 'an own reason phrase and server name',
    request: get('/'),
    answer:
      'HTTP/1.1 200 Very Fine\r\nServer: mine\r\nX-ODD: 1\r\nSet-Cookie: a=1\r\nSet-Cookie: b=2\r\nDate: then\r\nContent-Length: 2\r\n\r\nok',
  },
  {
    name: 'a response in chunks',
    request: get('/'),
    answer: 'HTTP/1.1 200 OK\r\nDate: then\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n',
  },
  {
    name: 'response trailers',
    request: get('/', 'TE: trailers\r\n'),
    answer:
      'HTTP/1.1 200 OK\r\nDate: then\r\nTransfer-Encoding: chunked\r\nTrailer: X-Sum\r\n\r\n2\r\nok\r\n0\r\nX-Sum: 1\r\n\r\n',
    differs: {
      reason: 'Envoy writes Transfer-Encoding last and trailers in lower case',
      client: [
        [
          'Transfer-Encoding: chunked\r\nTrailer: X-Sum\r\n',
          'Trailer: X-Sum\r\nTransfer-Encoding: chunked\r\n',
        ],
        ['X-Sum: 1', 'x-sum: 1'],
      ],
    },
  },
  { name: 'no content', request: get('/'), answer: 'HTTP/1.1 204 No Content\r\nDate: then\r\n\r\n' },
  {
    name: 'not modified',
    request: get('/'),
    answer: 'HTTP/1.1 304 Not Modified\r\nDate: then\r\nETag: "a"\r\n\r\n',
  },
  {
    name: 'the length of a HEAD',
    request: 'HEAD / HTTP/1.1\r\nHost: s\r\n\r\n',
    answer: 'HTTP/1.1 200 OK\r\nDate: then\r\nContent-Length: 200\r\n\r\n',
  },
  {
    name: 'a 500 of the server',
    request: get('/'),
    answer: 'HTTP/1.1 500 Oops\r\nDate: then\r\nContent-Length: 2\r\n\r\nno',
  },
  {
    name: 'a 403 of the server',
    request: get('/'),
    answer: 'HTTP/1.1 403 Forbidden\r\nDate: then\r\nContent-Length: 2\r\n\r\nno',
  },
  {
    name: 'a redirect',
    request: get('/'),
    answer: 'HTTP/1.1 302 Found\r\nDate: then\r\nLocation: http://s/x\r\nContent-Length: 0\r\n\r\n',
  },
  {
    name: 'a response without date',
    request: get('/'),
    answer: 'HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok',
    differs: {
      reason: 'Envoy adds the date that RFC 9110, 6.6.1 asks of a recipient',
      client: [['\r\n\r\n', '\r\ndate: *\r\n\r\n']],
    },
  },
  {
    name: 'a response that ends with the connection',
    request: get('/'),
    answer: 'HTTP/1.1 200 OK\r\nDate: then\r\n\r\nok',
    serverCloses: true,
    differs: {
      reason: 'connections on both sides live on their own, so the end of the body is said by a last chunk',
      client: [['\r\n\r\nok', '\r\ntransfer-encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n']],
    },
  },
  {
    name: 'a response of HTTP/1.0',
    request: get('/'),
    answer: 'HTTP/1.0 200 OK\r\nDate: then\r\nContent-Length: 2\r\n\r\nok',
    serverCloses: true,
    differs: { reason: "the version is each connection's own", client: [['HTTP/1.0', 'HTTP/1.1']] },
  },
  {
    name: 'a request of HTTP/1.0',
    request: get('/', '', '1.0'),
    answer: ok,
    differs: {
      reason: 'Envoy speaks HTTP/1.1 to servers',
      server: [['HTTP/1.0', 'HTTP/1.1']],
      client: [
        ['HTTP/1.1', 'HTTP/1.0'],
        ['\r\n\r\n', '\r\nconnection: close\r\n\r\n'],
      ],
    },
  },
  {
    name: 'a request of HTTP/1.0 without host',
    request: 'GET / HTTP/1.0\r\n\r\n',
    answer: ok,
    differs: {
      reason: 'Envoy speaks HTTP/1.1 to servers, and rules on hosts need a host that nobody means',
      server: [['HTTP/1.0\r\n', 'HTTP/1.1\r\nhost: http10.invalid\r\n']],
      client: [
        ['HTTP/1.1', 'HTTP/1.0'],
        ['\r\n\r\n', '\r\nconnection: close\r\n\r\n'],
      ],
    },
  },
  {
    name: 'the client closes',
    request: get('/', 'Connection: close\r\n'),
    answer: ok,
    differs: {
      reason: 'Connection belongs to one hop (RFC 9110, 7.6.1)',
      server: [['Connection: close\r\n', '']],
      client: [['\r\n\r\n', '\r\nconnection: close\r\n\r\n']],
    },
  },
  {
    name: 'hop-by-hop headers',
    request: get(
      '/',
      'Connection: keep-alive, X-Hop\r\nKeep-Alive: timeout=5\r\nX-Hop: 1\r\nTE: trailers\r\n',
    ),
    answer: ok,
    differs: {
      reason: 'these headers belong to one hop (RFC 9110, 7.6.1)',
      server: [['Connection: keep-alive, X-Hop\r\nKeep-Alive: timeout=5\r\nX-Hop: 1\r\n', '']],
    },
  },
  {
    name: "Envoy's own headers",
    request: get('/', 'X-Envoy-Retry-On: 5xx\r\nX-Envoy-Upstream-Rq-Timeout-Ms: 5\r\n'),
    answer: ok,
    differs: {
      reason: 'clients must not steer the proxy',
      server: [['X-Envoy-Retry-On: 5xx\r\nX-Envoy-Upstream-Rq-Timeout-Ms: 5\r\n', '']],
    },
  },
  {
    name: 'the absolute form',
    request: 'GET http://other/x HTTP/1.1\r\nHost: s\r\n\r\n',
    answer: ok,
    differs: {
      reason: 'its host wins over the Host header (RFC 9112, 3.2.2), which rules and server must see alike',
      server: [
        ['http://other/x', '/x'],
        ['Host: s', 'Host: other'],
      ],
    },
  },
  {
    name: 'dot segments',
    request: get('/a/./b/c'),
    answer: ok,
    differs: { reason: 'rules and server must see the same path', server: [['/a/./b/c', '/a/b/c']] },
  },
  {
    name: 'unusual characters in the path',
    request: get('/{a}|b"?{c}|d'),
    answer: ok,
    differs: {
      reason: 'the path is normalised (RFC 3986, 6.2.2); the query is not',
      server: [['/{a}|b"?', '/%7Ba%7D%7Cb%22?']],
    },
  },
  {
    name: 'a method of its own',
    request: 'FROB /x HTTP/1.1\r\nHost: s\r\n\r\n',
    answer: ok,
    differs: {
      reason: 'Envoy says that there is no body where a server might wait for one',
      server: [['\r\n\r\n', '\r\ncontent-length: 0\r\n\r\n']],
    },
  },
  {
    name: 'a post without length',
    request: 'POST /x HTTP/1.1\r\nHost: s\r\n\r\n',
    answer: ok,
    differs: {
      reason: 'Envoy says that there is no body where a server might wait for one',
      server: [['\r\n\r\n', '\r\ncontent-length: 0\r\n\r\n']],
    },
  },
  {
    name: 'an offer of h2c',
    request: get(
      '/',
      'Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABkAAQAAP__\r\n',
    ),
    answer: ok,
    differs: {
      reason: 'the rules would not see what follows; HTTP/2 with prior knowledge passes',
      server: [
        ['Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABkAAQAAP__\r\n', ''],
      ],
    },
  },
  {
    name: 'white space around a value',
    request: get('/', 'X-Space:   a b  \r\n'),
    answer: ok,
    differs: {
      reason: 'it is no part of the value (RFC 9110, 5.5)',
      server: [['X-Space:   a b  ', 'X-Space: a b']],
    },
  },
  {
    name: 'a half-closed request',
    request: get('/'),
    answer: ok,
    halfClose: true,
    differs: {
      reason: 'Envoy takes the end of an HTTP/1 connection for the end of its requests',
      races: true,
    },
  },
];
