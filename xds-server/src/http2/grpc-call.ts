import type { Peer } from '../client.ts';
import type { Clock } from '../clock.ts';
import { type EndStatus, statusCode } from '../transport.ts';
import type { ServerStream, StreamReader } from './connection.ts';
import { encodeHeaders, type Header } from './hpack.ts';
import type { RequestHeaders } from './request-headers.ts';

/** The server's end of one gRPC call. */
export interface GrpcCall {
  readonly peer: Peer;
  /** Sends one message, in parts that follow each other. */
  readonly send: (parts: readonly Uint8Array[]) => void;
  readonly end: (status: EndStatus) => void;
}

/** Who takes the messages of one call. */
export interface CallReader {
  readonly message: (bytes: Uint8Array) => void;
  /** No more messages came at once. */
  readonly allRead: () => void;
  /** The client sends no more. */
  readonly ended: () => void;
  /** The call is over, and not by our doing. */
  readonly gone: (reason: string) => void;
}

/** A method, streaming or not: it is called once for each call. */
export type GrpcMethod = (call: GrpcCall) => CallReader;

export interface CallOptions {
  readonly methods: ReadonlyMap<string, GrpcMethod>;
  readonly peer: Omit<Peer, 'metadata'>;
  readonly clock: Clock;
  /** Bytes of one request. */
  readonly requestBytes: number;
}

const contentType: Header = ['content-type', 'application/grpc'];
const acceptsIdentity: Header = ['grpc-accept-encoding', 'identity'];
/** What stands before the first message of any call. */
export const responseHeaders = encodeHeaders([[':status', '200'], contentType, acceptsIdentity]);

const prefixBytes = 5;
const unitMs: Readonly<Record<string, number>> = {
  H: 3_600_000,
  M: 60_000,
  S: 1_000,
  m: 1,
  u: 1e-3,
  n: 1e-6,
};
const ignored: StreamReader = Object.freeze({
  data: () => undefined,
  allRead: () => undefined,
  resume: () => undefined,
  ended: () => undefined,
  gone: () => undefined,
});

/** Runs one gRPC call (gRPC over HTTP2, PROTOCOL-HTTP2.md) on a stream. */
export function acceptCall(
  stream: ServerStream,
  headers: RequestHeaders,
  options: CallOptions,
): StreamReader {
  const { clock, requestBytes } = options;
  let sent = false;
  let over = false;
  let rest: Buffer[] = [];
  let restBytes = 0;
  let peerEnded = false;
  let cancelDeadline: () => void = () => undefined;

  if (
    headers.get(':method') !== 'POST' ||
    !/^application\/grpc(\+|;|$)/.test(headers.get('content-type') ?? '')
  ) {
    stream.end(encodeHeaders([[':status', headers.get(':method') === 'POST' ? '415' : '405']]), true);
    return ignored;
  }

  function end({ code, details }: EndStatus): void {
    if (over) return;
    over = true;
    rest = [];
    cancelDeadline();
    const trailers: readonly Header[] = [
      ['grpc-status', String(code)],
      ...(details === '' ? [] : [['grpc-message', percentEncoded(details)] as const]),
    ];
    const first: readonly Header[] = sent ? [] : [[':status', '200'], contentType, acceptsIdentity];
    stream.end(encodeHeaders([...first, ...trailers]), code !== statusCode.ok);
  }

  /** Ends the call for the client's fault, which the reader does not know of. */
  function fail(status: EndStatus): void {
    if (over) return;
    end(status);
    reader.gone(status.details);
  }

  const path = headers.get(':path') ?? '';
  const method = options.methods.get(path);
  if (method === undefined) {
    end({ code: statusCode.unimplemented, details: `${path} is not served here` });
    return ignored;
  }
  const reader = method({
    peer: Object.freeze({ ...options.peer, metadata: headers }),
    send: (parts) => {
      sent = true;
      stream.send(parts);
    },
    end,
  });
  const deadlineMs = timeoutMs(headers.get('grpc-timeout'));
  if (deadlineMs === undefined) fail({ code: statusCode.internal, details: 'grpc-timeout is malformed' });
  else if (deadlineMs !== null && !over) {
    cancelDeadline = clock.after(deadlineMs, () =>
      fail({ code: statusCode.deadlineExceeded, details: "the call's deadline passed" }),
    );
  }

  /** The message at the head of a buffer, or null when it is not whole; a message that may not be ends the call. */
  function messageIn(bytes: Buffer): Buffer | null {
    if (bytes.length < prefixBytes) return null;
    const length = bytes.readUInt32BE(1);
    if (bytes[0] !== 0) {
      fail({ code: statusCode.unimplemented, details: 'compressed messages are not taken' });
    } else if (length > requestBytes) {
      fail({
        code: statusCode.resourceExhausted,
        details: `a request of ${length} bytes is larger than ${requestBytes}`,
      });
    } else if (bytes.length >= prefixBytes + length) return bytes.subarray(prefixBytes, prefixBytes + length);
    return null;
  }

  function deliver(bytes: Buffer): Buffer {
    let left = bytes;
    while (!over && !stream.congested()) {
      const message = messageIn(left);
      if (message === null) break;
      left = left.subarray(prefixBytes + message.length);
      reader.message(message);
    }
    return left;
  }

  /** Whether what is kept holds a whole message: a large one is put together once, not at each part. */
  function complete(): boolean {
    const [first] = rest;
    if (first === undefined) return false;
    if (first.length < prefixBytes) return true;
    return first[0] !== 0 || restBytes >= prefixBytes + Math.min(first.readUInt32BE(1), requestBytes);
  }

  function keep(bytes: Buffer): void {
    if (over || bytes.length === 0) return;
    // A copy: the socket's buffer is much larger than what is left of it.
    rest.push(Buffer.from(bytes));
    restBytes += bytes.length;
  }

  function pump(): void {
    if (rest.length > 0 && complete()) {
      const bytes = rest.length === 1 && rest[0] !== undefined ? rest[0] : Buffer.concat(rest);
      rest = [];
      restBytes = 0;
      const left = deliver(bytes);
      if (left.length > 0 && !over) {
        rest = [left];
        restBytes = left.length;
      }
    }
    if (!peerEnded || over || stream.congested()) return;
    if (rest.length > 0) fail({ code: statusCode.internal, details: 'a message is cut short' });
    else reader.ended();
  }

  return {
    data: (bytes) => {
      if (over) return;
      if (rest.length === 0) keep(deliver(bytes));
      else {
        keep(bytes);
        pump();
      }
    },
    allRead: () => {
      if (!over) reader.allRead();
    },
    resume: pump,
    ended: () => {
      peerEnded = true;
      pump();
    },
    gone: (reason) => {
      if (over) return;
      over = true;
      cancelDeadline();
      reader.gone(reason);
    },
  };
}

/** Null: no deadline; undefined: malformed. */
function timeoutMs(value: string | undefined): number | null | undefined {
  if (value === undefined) return null;
  const [, amount, unit = ''] = /^(\d{1,8})([HMSmun])$/.exec(value) ?? [];
  return amount === undefined ? undefined : Math.min(Number(amount) * (unitMs[unit] ?? 0), 2 ** 31 - 1);
}

/** A status message as it travels: UTF-8, with all but printable ASCII as %XX. */
function percentEncoded(text: string): string {
  let encoded = '';
  for (const byte of Buffer.from(text)) {
    const plain = byte >= 0x20 && byte <= 0x7e && byte !== 0x25;
    encoded += plain ? String.fromCharCode(byte) : `%${byte.toString(16).toUpperCase().padStart(2, '0')}`;
  }
  return encoded;
}
