// One connection and its streams, whose frames share windows, tables and limits: longer than a file should be, and in
// one piece.
import type { Socket } from 'node:net';
import { forgetOldest } from '../forget-oldest.ts';
import {
  defaultWindow,
  type ErrorCode,
  errorCode,
  flags,
  frame,
  frameBytes,
  frameHeaderBytes,
  frameType,
  largestStream,
  largestWindow,
  preface,
  settingId,
  settingsFrame,
  words,
} from './frames.ts';
import { createHpackDecoder, type FirstBlocks } from './hpack.ts';
import {
  isBegun,
  isSent,
  nextFrames,
  type OutgoingMessage,
  openingFrames,
  outgoingMessage,
} from './message-frames.ts';
import { type RequestHeaders, requestHeaders } from './request-headers.ts';

/** The server's end of one stream. */
export interface ServerStream {
  /** Sends one gRPC message, in parts. What the peer's windows do not let through waits. */
  readonly send: (parts: readonly Uint8Array[]) => void;
  /**
   * Ends the stream with this header block: trailers, or, when nothing was sent, all there is. What
   * waits goes first, or, with `discard`, not at all.
   */
  readonly end: (block: Uint8Array, discard: boolean) => void;
  /** Whether the peer leaves unread what was sent; then nothing of it should be read either. */
  readonly congested: () => boolean;
}

/** Who takes what comes on a stream. */
export interface StreamReader {
  readonly data: (bytes: Buffer) => void;
  /** No more of what came at once is for this stream. */
  readonly allRead: () => void;
  /** The stream is not congested any more. */
  readonly resume: () => void;
  /** The peer has said everything. */
  readonly ended: () => void;
  /** The stream went before its end. */
  readonly gone: (reason: string) => void;
}

export interface ConnectionOptions {
  /** Streams open at once on one connection. */
  readonly streams: number;
  /** What `greeting` made of that number. */
  readonly greeting: Uint8Array;
  /** Of all connections of a listener. */
  readonly firstBlocks: FirstBlocks;
  /** A header block that stands before the first message. */
  readonly responseHeaders: Uint8Array;
  readonly accept: (stream: ServerStream, headers: RequestHeaders) => StreamReader;
  /** Calls back when what came has been read and the streams that it woke had their turn. */
  readonly soon: (callback: () => void) => void;
}

/** One HTTP/2 connection. */
export interface Connection {
  /** Tells the peer to open no more streams; those that are open go on. */
  readonly drain: () => void;
  /** Sends what can be sent, then closes. */
  readonly close: () => void;
  /** To be called now and then: looks for peers that are dead, silent or stuck. */
  readonly tick: () => void;
}

interface StreamState {
  readonly id: number;
  reader: StreamReader;
  sendWindow: number;
  /** Received and not given back to the peer's window yet. */
  unreturned: number;
  peerEnded: boolean;
  answered: boolean;
  /** Only once something has to wait. */
  queue: OutgoingMessage[] | null;
  trailers: Uint8Array | null;
  over: boolean;
  /** Has its trailers waited for a whole tick? */
  lingers: boolean;
}

/** A header block in several frames. */
interface OpenBlock {
  readonly stream: number;
  readonly endStream: boolean;
  readonly parts: Buffer[];
  bytes: number;
}

const headerBlockBytes = 16 * 1024;
const headerListBytes = 32 * 1024;
const continuations = 16;
const headerTableBytes = 4_096;
/** What we let a peer send ahead: a delta reconnect with 10,000 versions comes without a pause. */
const receiveWindow = 1024 * 1024;
/** Streams that a peer may reset between two ticks; more is an attack (CVE-2023-44487). */
const resetsPerTick = 500;
const abandonedStreams = 1_000;
/** Up to this size, what is said at once is copied into one piece; that is cheaper than a list. */
const joinedBytes = 16 * 1024;
/** Of a long message so much goes ahead: a unix socket takes it, and the peer reads while the rest is put into frames. */
const headStartBytes = 128 * 1024;
/** With more than this unwritten, a peer that does not read is not read from. */
const unwrittenBytes = 1024 * 1024;
const keepalivePing = frame(frameType.ping, 0, 0, Buffer.from('are you?'));
const settingsAck = frame(frameType.settings, flags.ack, 0, Buffer.alloc(0));
const silent: StreamReader = Object.freeze({
  data: () => undefined,
  allRead: () => undefined,
  resume: () => undefined,
  ended: () => undefined,
  gone: () => undefined,
});

/** What a server says first: its settings, the same for all connections. */
export function greeting(streams: number): Uint8Array {
  return Buffer.concat([
    settingsFrame([
      [settingId.maxConcurrentStreams, streams],
      [settingId.initialWindowSize, receiveWindow],
      [settingId.maxHeaderListSize, headerListBytes],
    ]),
    frame(frameType.windowUpdate, 0, 0, words(receiveWindow - defaultWindow)),
  ]);
}

/**
 * The server's side of HTTP/2 (RFC 9113) as far as gRPC uses it: no push, no priorities, no
 * compression of what it sends. Frames that break the protocol end the connection with GOAWAY; a peer
 * is bounded in header size, CONTINUATION frames, resets and what it leaves unread.
 */
export function createConnection(socket: Socket, options: ConnectionOptions): Connection {
  const decoder = createHpackDecoder(headerTableBytes, headerListBytes, options.firstBlocks);
  const streams = new Map<number, StreamState>();
  /** Streams that ended here first, so that the peer may not know yet. */
  const abandoned = new Set<number>();
  let greeted = false;
  let settled = false;
  let rest: Buffer | null = null;
  let block: OpenBlock | null = null;
  let lastStream = 0;
  let draining = false;
  let sendWindow = defaultWindow;
  let peerWindow = defaultWindow;
  let unreturned = 0;
  let resets = 0;
  let closed = false;
  let alive = true;
  let pinged = false;
  let idle = false;
  let receiving = false;
  /** The stream that was read last, and not told yet that this was all. */
  let fed: StreamState | null = null;
  /** Frames that were said and not written yet. */
  let said: Uint8Array[] = [];
  let saidBytes = 0;

  // Most peers have spoken by then, and get the answer with it.
  hold(options.greeting);
  options.soon(write);
  socket.on('data', receive);
  socket.on('drain', () => {
    alive = true;
    for (const { reader } of streams.values()) reader.resume();
    socket.resume();
  });
  socket.on('error', (error) => lose(error.message));
  socket.on('close', () => lose('the connection was closed'));

  function lose(reason: string): void {
    closed = true;
    for (const stream of streams.values()) {
      stream.over = true;
      stream.reader.gone(reason);
    }
    streams.clear();
  }

  /** Ends the connection for the peer's fault. */
  function fail(code: ErrorCode, reason: string): void {
    if (closed) return;
    goAway(code, lastStream, reason);
    lose(reason);
    hangUp();
  }

  function hangUp(): void {
    write();
    socket.destroySoon();
  }

  /** Says frames; they go with what else is said while input is read, or at once. */
  function say(frames: Uint8Array): void {
    hold(frames);
    if (!receiving) write();
  }

  function hold(frames: Uint8Array): void {
    said.push(frames);
    saidBytes += frames.length;
  }

  function write(): void {
    const [first] = said;
    if (first === undefined || !socket.writable) return;
    if (said.length === 1) socket.write(first);
    else if (saidBytes <= joinedBytes) socket.write(Buffer.concat(said, saidBytes));
    else {
      socket.cork();
      for (const frames of said) socket.write(frames);
      socket.uncork();
    }
    said = [];
    saidBytes = 0;
  }

  function goAway(code: ErrorCode, last: number, reason: string): void {
    say(frame(frameType.goAway, 0, 0, Buffer.concat([words(last, code), Buffer.from(reason)])));
  }

  /** What was on its way while the stream ended here is passed over; after its own end a peer says no more. */
  function late(id: number, last: boolean): void {
    if (!abandoned.has(id)) fail(errorCode.streamClosed, 'a frame on a closed stream');
    else if (last) abandoned.delete(id);
  }

  /** Ends a stream that the peer has not ended. */
  function reset(id: number, code: ErrorCode): void {
    abandoned.add(id);
    forgetOldest(abandoned, abandonedStreams);
    say(frame(frameType.resetStream, 0, id, words(code)));
  }

  function forget(stream: StreamState): void {
    stream.over = true;
    streams.delete(stream.id);
  }

  /** Ends one stream for the peer's fault. */
  function failStream(stream: StreamState, code: ErrorCode, reason: string): void {
    reset(stream.id, code);
    forget(stream);
    stream.reader.gone(reason);
  }

  function receive(chunk: Buffer): void {
    alive = true;
    if (closed) return;
    receiving = true;
    let at = 0;
    while (!closed && at < chunk.length) {
      const bytes = rest === null ? unitBytes(chunk, at) : 0;
      if (greeted && rest === null && at + bytes <= chunk.length) {
        takeFrame(chunk, at, bytes);
        at += bytes;
      } else at = takePiece(chunk, at);
    }
    feed(null);
    receiving = false;
    // The answer to settings says nothing that a peer waits for: it may go with the first response.
    if (said.length === 1 && said[0] === settingsAck) options.soon(write);
    else write();
    if (socket.writableLength > unwrittenBytes) socket.pause();
  }

  /** Answers go out with the write that follows, and not after all other connections were read too. */
  function feed(next: StreamState | null): void {
    const last = fed;
    fed = next;
    if (last !== null && last !== next) last.reader.allRead();
  }

  /** Of the preface or frame that begins there, or of its header while that is not whole. */
  function unitBytes(buffer: Buffer, at: number): number {
    if (!greeted) return preface.length;
    return buffer.length - at < frameHeaderBytes
      ? frameHeaderBytes
      : frameHeaderBytes + buffer.readUIntBE(at, 3);
  }

  /** Completes the frame that was cut short, or keeps what begins here; of what comes behind nothing is copied. */
  function takePiece(chunk: Buffer, at: number): number {
    const begun = rest;
    const missing = begun === null ? unitBytes(chunk, at) : unitBytes(begun, 0) - begun.length;
    const end = Math.min(at + missing, chunk.length);
    const part = chunk.subarray(at, end);
    const unit: Buffer = begun === null ? part : Buffer.concat([begun, part]);
    rest = null;
    if (!greeted) greet(unit);
    else takeFrame(unit, 0, unitBytes(unit, 0));
    return end;
  }

  function takeFrame(buffer: Buffer, at: number, bytes: number): void {
    if (bytes > frameHeaderBytes + frameBytes)
      fail(errorCode.frameSizeError, `a frame of ${bytes - frameHeaderBytes} bytes`);
    else if (buffer.length - at < bytes) rest = buffer;
    else {
      const id = buffer.readUInt32BE(at + 5) & largestStream;
      const payload = buffer.subarray(at + frameHeaderBytes, at + bytes);
      take(buffer[at + 3] ?? 0, buffer[at + 4] ?? 0, id, payload);
    }
  }

  function greet(begin: Buffer): void {
    if (preface.compare(begin, 0, begin.length, 0, begin.length) !== 0)
      fail(errorCode.protocolError, 'this is no HTTP/2');
    greeted = begin.length === preface.length;
    rest = greeted ? null : begin;
  }

  function take(type: number, flag: number, id: number, payload: Buffer): void {
    if (block !== null && (type !== frameType.continuation || id !== block.stream)) {
      fail(errorCode.protocolError, 'a header block is interrupted');
      return;
    }
    if (!settled && (type !== frameType.settings || (flag & flags.ack) !== 0)) {
      fail(errorCode.protocolError, 'the first frame is not SETTINGS');
      return;
    }
    switch (type) {
      case frameType.data:
        takeData(flag, id, payload);
        break;
      case frameType.headers:
        takeHeaders(flag, id, payload);
        break;
      case frameType.continuation:
        takeContinuation(flag, payload);
        break;
      case frameType.resetStream:
        takeReset(id, payload);
        break;
      case frameType.settings:
        takeSettings(flag, id, payload);
        break;
      case frameType.ping:
        if (id !== 0) fail(errorCode.protocolError, 'PING on a stream');
        else if (payload.length !== 8) fail(errorCode.frameSizeError, 'PING is not 8 bytes');
        else if ((flag & flags.ack) === 0) say(frame(frameType.ping, flags.ack, 0, payload));
        break;
      case frameType.windowUpdate:
        takeWindowUpdate(id, payload);
        break;
      case frameType.goAway:
        if (id !== 0) fail(errorCode.protocolError, 'GOAWAY on a stream');
        break;
      case frameType.priority:
        if (id === 0) fail(errorCode.protocolError, 'PRIORITY without a stream');
        else if (payload.length !== 5) fail(errorCode.frameSizeError, 'PRIORITY is not 5 bytes');
        break;
      case frameType.pushPromise:
        fail(errorCode.protocolError, 'a client pushes');
        break;
      default:
      // Types that are not known are passed over (4.1).
    }
  }

  function takeData(flag: number, id: number, payload: Buffer): void {
    if (id === 0 || id > lastStream) {
      fail(errorCode.protocolError, 'DATA on no stream');
      return;
    }
    unreturned += payload.length;
    if (unreturned > receiveWindow) {
      fail(errorCode.flowControlError, 'more DATA than the window lets through');
      return;
    }
    if (unreturned >= receiveWindow / 2) {
      say(frame(frameType.windowUpdate, 0, 0, words(unreturned)));
      unreturned = 0;
    }
    const bytes = withoutPadding(flag, payload);
    if (bytes === null) {
      fail(errorCode.protocolError, 'padding larger than its frame');
      return;
    }
    const stream = streams.get(id);
    if (stream === undefined) {
      late(id, (flag & flags.endStream) !== 0);
      return;
    }
    if (stream.peerEnded) {
      failStream(stream, errorCode.streamClosed, 'DATA after the end of the stream');
      return;
    }
    stream.unreturned += payload.length;
    if (stream.unreturned > receiveWindow) {
      failStream(stream, errorCode.flowControlError, 'more DATA than the window lets through');
      return;
    }
    feed(stream);
    if (bytes.length > 0) stream.reader.data(bytes);
    if ((flag & flags.endStream) !== 0) peerEnds(stream);
    else returnWindow(stream);
  }

  /** A peer that does not take what is sent may not send either. */
  function returnWindow(stream: StreamState): void {
    if (stream.unreturned < receiveWindow / 2 || stream.queue !== null || stream.over) return;
    say(frame(frameType.windowUpdate, 0, stream.id, words(stream.unreturned)));
    stream.unreturned = 0;
  }

  function peerEnds(stream: StreamState): void {
    stream.peerEnded = true;
    stream.reader.ended();
  }

  function takeHeaders(flag: number, id: number, payload: Buffer): void {
    if (id % 2 === 0) {
      fail(errorCode.protocolError, 'HEADERS on no stream of a client');
      return;
    }
    const unpadded = withoutPadding(flag, payload);
    const skipped = (flag & flags.priority) === 0 ? 0 : 5;
    if (unpadded === null || unpadded.length < skipped) {
      fail(errorCode.protocolError, 'padding larger than its frame');
      return;
    }
    const part = unpadded.subarray(skipped);
    const endStream = (flag & flags.endStream) !== 0;
    if ((flag & flags.endHeaders) !== 0) takeBlock(id, endStream, part);
    else block = { stream: id, endStream, parts: [Buffer.from(part)], bytes: part.length };
  }

  function takeContinuation(flag: number, payload: Buffer): void {
    if (block === null) {
      fail(errorCode.protocolError, 'CONTINUATION of nothing');
      return;
    }
    const { stream, endStream, parts } = block;
    parts.push(Buffer.from(payload));
    block.bytes += payload.length;
    if (parts.length > continuations || block.bytes > headerBlockBytes) {
      fail(errorCode.enhanceYourCalm, 'a header block is too large');
    } else if ((flag & flags.endHeaders) !== 0) {
      block = null;
      takeBlock(stream, endStream, Buffer.concat(parts));
    }
  }

  function takeBlock(id: number, endStream: boolean, bytes: Buffer): void {
    let headers: RequestHeaders | string;
    try {
      // Decoded in any case: the table is one for the whole connection.
      headers = requestHeaders(decoder.decode(bytes));
    } catch (error) {
      fail(errorCode.compressionError, error instanceof Error ? error.message : String(error));
      return;
    }
    const known = streams.get(id);
    if (known !== undefined) {
      if (known.peerEnded) failStream(known, errorCode.streamClosed, 'HEADERS after the end of the stream');
      else if (!endStream) failStream(known, errorCode.protocolError, 'a second HEADERS that ends nothing');
      else peerEnds(known);
      return;
    }
    if (id <= lastStream) {
      late(id, endStream);
      return;
    }
    lastStream = id;
    if (typeof headers === 'string') reset(id, errorCode.protocolError);
    else if (streams.size >= options.streams) reset(id, errorCode.refusedStream);
    else open(id, headers, endStream);
  }

  function open(id: number, headers: RequestHeaders, endStream: boolean): void {
    idle = false;
    const stream: StreamState = {
      id,
      reader: silent,
      sendWindow: peerWindow,
      unreturned: 0,
      peerEnded: false,
      answered: false,
      queue: null,
      trailers: null,
      over: false,
      lingers: false,
    };
    streams.set(id, stream);
    stream.reader = options.accept(
      {
        send: (parts) => send(stream, parts),
        end: (trailers, discard) => end(stream, trailers, discard),
        congested: () => stream.queue !== null || socket.writableLength + saidBytes > unwrittenBytes,
      },
      headers,
    );
    if (endStream) peerEnds(stream);
  }

  function takeReset(id: number, payload: Buffer): void {
    if (id === 0 || id > lastStream) fail(errorCode.protocolError, 'RST_STREAM on no stream');
    else if (payload.length !== 4) fail(errorCode.frameSizeError, 'RST_STREAM is not 4 bytes');
    else if (++resets > resetsPerTick) fail(errorCode.enhanceYourCalm, 'too many streams were reset');
    else {
      const stream = streams.get(id);
      abandoned.delete(id);
      if (stream === undefined) return;
      forget(stream);
      stream.reader.gone('cancelled by the client');
    }
  }

  function takeSettings(flag: number, id: number, payload: Buffer): void {
    const ack = (flag & flags.ack) !== 0;
    if (id !== 0) fail(errorCode.protocolError, 'SETTINGS on a stream');
    else if (payload.length % 6 !== 0 || (ack && payload.length > 0))
      fail(errorCode.frameSizeError, 'SETTINGS of a wrong size');
    if (closed || ack) return;
    settled = true;
    for (let at = 0; at < payload.length; at += 6)
      takeSetting(payload.readUInt16BE(at), payload.readUInt32BE(at + 2));
    if (closed) return;
    say(settingsAck);
    flushAll();
  }

  function takeSetting(id: number, value: number): void {
    if (id === settingId.enablePush && value > 1) fail(errorCode.protocolError, 'ENABLE_PUSH is 0 or 1');
    if (id === settingId.maxFrameSize && (value < frameBytes || value >= 2 ** 24))
      fail(errorCode.protocolError, 'MAX_FRAME_SIZE is out of range');
    if (id !== settingId.initialWindowSize) return;
    if (value > largestWindow) {
      fail(errorCode.flowControlError, 'INITIAL_WINDOW_SIZE is out of range');
      return;
    }
    for (const stream of streams.values()) {
      stream.sendWindow += value - peerWindow;
      if (stream.sendWindow > largestWindow) fail(errorCode.flowControlError, 'a window is out of range');
    }
    peerWindow = value;
  }

  function takeWindowUpdate(id: number, payload: Buffer): void {
    if (payload.length !== 4) {
      fail(errorCode.frameSizeError, 'WINDOW_UPDATE is not 4 bytes');
      return;
    }
    if (id > lastStream) {
      fail(errorCode.protocolError, 'WINDOW_UPDATE on no stream');
      return;
    }
    const more = payload.readUInt32BE(0) & largestWindow;
    const stream = streams.get(id);
    if (id === 0) {
      sendWindow += more;
      if (more === 0) fail(errorCode.protocolError, 'WINDOW_UPDATE of 0');
      else if (sendWindow > largestWindow) fail(errorCode.flowControlError, 'a window is out of range');
      else flushAll();
    } else if (stream !== undefined) {
      stream.sendWindow += more;
      if (more === 0) failStream(stream, errorCode.protocolError, 'WINDOW_UPDATE of 0');
      else if (stream.sendWindow > largestWindow)
        failStream(stream, errorCode.flowControlError, 'a window is out of range');
      else if (stream.queue !== null) flush(stream);
    }
  }

  function flushAll(): void {
    for (const stream of streams.values()) {
      if (sendWindow <= 0) return;
      if (stream.queue !== null) flush(stream);
    }
  }

  function send(stream: StreamState, parts: readonly Uint8Array[]): void {
    if (stream.over || stream.trailers !== null) return;
    const message = outgoingMessage(parts, stream.id);
    const { first, later, bytes } = message;
    const opens = !stream.answered;
    stream.answered = true;
    if (stream.queue === null && later.length === 0 && bytes <= sendWindow && bytes <= stream.sendWindow) {
      sendWindow -= bytes;
      stream.sendWindow -= bytes;
      hold(opens ? openingFrames(message, options.responseHeaders) : first.frames);
    } else {
      if (opens) hold(frame(frameType.headers, flags.endHeaders, stream.id, options.responseHeaders));
      if (stream.queue !== null) stream.queue.push(message);
      else {
        stream.queue = [message];
        flush(stream);
      }
    }
    if (!receiving) write();
  }

  /** Sends what the windows let through, and the trailers when nothing is left. */
  function flush(stream: StreamState): void {
    const { queue } = stream;
    for (let first = queue?.[0]; queue !== null && first !== undefined; first = queue[0]) {
      const window = Math.min(sendWindow, stream.sendWindow);
      if (window <= 0) return;
      const { frames, bytes } = nextFrames(first, window);
      hold(frames);
      if (saidBytes >= headStartBytes && socket.writableLength === 0) write();
      sendWindow -= bytes;
      stream.sendWindow -= bytes;
      stream.lingers = false;
      if (isSent(first)) queue.shift();
    }
    stream.queue = null;
    if (stream.trailers !== null) finish(stream, stream.trailers);
    else if (queue !== null) {
      stream.reader.resume();
      returnWindow(stream);
    }
  }

  function end(stream: StreamState, trailers: Uint8Array, discard: boolean): void {
    if (stream.over || stream.trailers !== null) return;
    stream.trailers = trailers;
    if (stream.queue !== null && discard) {
      const [first] = stream.queue;
      if (first !== undefined && isBegun(first)) {
        // Half a message stands before the trailers, so they cannot be said.
        forget(stream);
        reset(stream.id, errorCode.enhanceYourCalm);
        return;
      }
      stream.queue = null;
    }
    if (stream.queue === null) finish(stream, trailers);
  }

  function finish(stream: StreamState, trailers: Uint8Array): void {
    forget(stream);
    hold(frame(frameType.headers, flags.endHeaders | flags.endStream, stream.id, trailers));
    if (!stream.peerEnded) reset(stream.id, errorCode.noError);
    else if (!receiving) write();
  }

  return {
    drain: () => {
      if (closed || draining) return;
      draining = true;
      // Streams that are on their way already are still answered, with a status.
      goAway(errorCode.noError, largestStream, '');
    },
    close: () => {
      if (closed) return;
      goAway(errorCode.noError, lastStream, '');
      lose('the server is shutting down');
      hangUp();
    },
    tick: () => {
      resets = 0;
      for (const stream of streams.values()) {
        if (stream.trailers === null) continue;
        if (stream.lingers) {
          forget(stream);
          reset(stream.id, errorCode.enhanceYourCalm);
        } else stream.lingers = true;
      }
      if (closed || (!alive && (pinged || !greeted))) socket.destroy();
      else if (streams.size === 0 && idle) {
        goAway(errorCode.noError, lastStream, 'nothing was asked for');
        lose('idle');
        hangUp();
      } else {
        pinged = !alive;
        if (pinged) say(keepalivePing);
      }
      alive = false;
      idle = streams.size === 0;
    },
  };
}

/** Null: the padding is larger than the frame. */
function withoutPadding(flag: number, payload: Buffer): Buffer | null {
  if ((flag & flags.padded) === 0) return payload;
  const padding = payload[0] ?? 0;
  return padding >= payload.length ? null : payload.subarray(1, payload.length - padding);
}
