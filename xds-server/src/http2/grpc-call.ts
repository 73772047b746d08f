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
const nothing = Buffer.alloc(0);
const unitMs: Readonly<Record<string, number>> = {
  H: 3_600_000,
  M: 60_000,
  S: 1_000,
  m: 1,
  u: 1e-3,
  n: 1e-6,
};
const nobody: CallReader = Object.freeze({
  message: () => undefined,
  allRead: () => undefined,
  ended: () => undefined,
  gone: () => undefined,
});
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
  if (
    headers.get(':method') !== 'POST' ||
    !/^application\/grpc(\+|;|$)/.test(headers.get('content-type') ?? '')
  ) {
    stream.end(encodeHeaders([[':status', headers.get(':method') === 'POST' ? '415' : '405']]), true);
    return ignored;
  }
  const call = new OpenCall(stream, headers, options);
  const path = headers.get(':path') ?? '';
  const method = options.methods.get(path);
  if (method === undefined) {
    call.end({ code: statusCode.unimplemented, details: `${path} is not served here` });
    return ignored;
  }
  call.begin(method, timeoutMs(headers.get('grpc-timeout')), options.clock);
  return call;
}

class OpenCall implements GrpcCall, StreamReader {
  readonly peer: Peer;
  private readonly stream: ServerStream;
  private readonly requestBytes: number;
  private reader: CallReader = nobody;
  private sent = false;
  private over = false;
  private rest: Buffer[] = [];
  private restBytes = 0;
  private peerEnded = false;
  private cancelDeadline: (() => void) | null = null;

  constructor(stream: ServerStream, headers: RequestHeaders, { peer, requestBytes }: CallOptions) {
    this.stream = stream;
    this.peer = Object.freeze({ ...peer, metadata: headers });
    this.requestBytes = requestBytes;
  }

  begin(method: GrpcMethod, deadlineMs: number | null | undefined, clock: Clock): void {
    this.reader = method(this);
    if (deadlineMs === undefined) {
      this.fail({ code: statusCode.internal, details: 'grpc-timeout is malformed' });
    } else if (deadlineMs !== null && !this.over) {
      this.cancelDeadline = clock.after(deadlineMs, () =>
        this.fail({ code: statusCode.deadlineExceeded, details: "the call's deadline passed" }),
      );
    }
  }

  send(parts: readonly Uint8Array[]): void {
    this.sent = true;
    this.stream.send(parts);
  }

  end({ code, details }: EndStatus): void {
    if (this.over) return;
    this.finish();
    const trailers: readonly Header[] = [
      ['grpc-status', String(code)],
      ...(details === '' ? [] : [['grpc-message', percentEncoded(details)] as const]),
    ];
    const first: readonly Header[] = this.sent ? [] : [[':status', '200'], contentType, acceptsIdentity];
    this.stream.end(encodeHeaders([...first, ...trailers]), code !== statusCode.ok);
  }

  data(bytes: Buffer): void {
    if (this.over) return;
    if (this.rest.length === 0) this.keep(this.deliver(bytes));
    else {
      this.keep(bytes);
      this.pump();
    }
  }

  allRead(): void {
    if (!this.over) this.reader.allRead();
  }

  resume(): void {
    this.pump();
  }

  ended(): void {
    this.peerEnded = true;
    this.pump();
  }

  gone(reason: string): void {
    if (this.over) return;
    this.finish();
    this.reader.gone(reason);
  }

  private finish(): void {
    this.over = true;
    this.rest = [];
    this.cancelDeadline?.();
  }

  /** Ends the call for the client's fault, which the reader does not know of. */
  private fail(status: EndStatus): void {
    if (this.over) return;
    this.end(status);
    this.reader.gone(status.details);
  }

  /** The message at the head of a buffer, or null when it is not whole; a message that may not be ends the call. */
  private messageIn(bytes: Buffer): Buffer | null {
    if (bytes.length < prefixBytes) return null;
    const length = bytes.readUInt32BE(1);
    if (bytes[0] !== 0) {
      this.fail({ code: statusCode.unimplemented, details: 'compressed messages are not taken' });
    } else if (length > this.requestBytes) {
      this.fail({
        code: statusCode.resourceExhausted,
        details: `a request of ${length} bytes is larger than ${this.requestBytes}`,
      });
    } else if (bytes.length >= prefixBytes + length) return bytes.subarray(prefixBytes, prefixBytes + length);
    return null;
  }

  private deliver(bytes: Buffer): Buffer {
    let left = bytes;
    while (left.length > 0 && !this.over && !this.stream.congested()) {
      const message = this.messageIn(left);
      if (message === null) break;
      const end = prefixBytes + message.length;
      left = end === left.length ? nothing : left.subarray(end);
      this.reader.message(message);
    }
    return left;
  }

  /** Whether what is kept holds a whole message: a large one is put together once, not at each part. */
  private complete(): boolean {
    const [first] = this.rest;
    if (first === undefined) return false;
    if (first.length < prefixBytes) return true;
    return (
      first[0] !== 0 || this.restBytes >= prefixBytes + Math.min(first.readUInt32BE(1), this.requestBytes)
    );
  }

  private keep(bytes: Buffer): void {
    if (this.over || bytes.length === 0) return;
    // A copy: the socket's buffer is much larger than what is left of it.
    this.rest.push(Buffer.from(bytes));
    this.restBytes += bytes.length;
  }

  private pump(): void {
    if (this.rest.length > 0 && this.complete()) {
      const [first] = this.rest;
      const bytes = this.rest.length === 1 && first !== undefined ? first : Buffer.concat(this.rest);
      this.rest = [];
      this.restBytes = 0;
      const left = this.deliver(bytes);
      if (left.length > 0 && !this.over) {
        this.rest = [left];
        this.restBytes = left.length;
      }
    }
    if (!this.peerEnded || this.over || this.stream.congested()) return;
    if (this.rest.length > 0) this.fail({ code: statusCode.internal, details: 'a message is cut short' });
    else this.reader.ended();
  }
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
