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
import { createHpackDecoder, type FirstBlocks, type HpackDecoder } from './hpack.ts';
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

class OpenStream implements ServerStream {
  readonly id: number;
  reader: StreamReader = silent;
  sendWindow: number;
  /** Received and not given back to the peer's window yet. */
  unreturned = 0;
  peerEnded = false;
  answered = false;
  /** Only once something has to wait. */
  queue: OutgoingMessage[] | null = null;
  trailers: Uint8Array | null = null;
  over = false;
  /** Has its trailers waited for a whole tick? */
  lingers = false;
  private readonly connection: Http2Connection;

  constructor(connection: Http2Connection, id: number, sendWindow: number) {
    this.connection = connection;
    this.id = id;
    this.sendWindow = sendWindow;
  }

  send(parts: readonly Uint8Array[]): void {
    this.connection.send(this, parts);
  }

  end(block: Uint8Array, discard: boolean): void {
    this.connection.end(this, block, discard);
  }

  congested(): boolean {
    return this.queue !== null || this.connection.congested();
  }
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
const noPayload = Buffer.alloc(0);
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
  return new Http2Connection(socket, options);
}

class Http2Connection implements Connection {
  private readonly socket: Socket;
  private readonly options: ConnectionOptions;
  private readonly decoder: HpackDecoder;
  private readonly streams = new Map<number, OpenStream>();
  /** Streams that ended here first, so that the peer may not know yet. */
  private abandoned: Set<number> | null = null;
  private greeted = false;
  private settled = false;
  private rest: Buffer | null = null;
  private block: OpenBlock | null = null;
  private lastStream = 0;
  private draining = false;
  private sendWindow = defaultWindow;
  private peerWindow = defaultWindow;
  private unreturned = 0;
  private resets = 0;
  private closed = false;
  private alive = true;
  private pinged = false;
  private idle = false;
  private receiving = false;
  /** The stream that was read last, and not told yet that this was all. */
  private fed: OpenStream | null = null;
  /** Frames that were said and not written yet. */
  private said: Uint8Array[] = [];
  private saidBytes = 0;

  constructor(socket: Socket, options: ConnectionOptions) {
    this.socket = socket;
    this.options = options;
    this.decoder = createHpackDecoder(headerTableBytes, headerListBytes, options.firstBlocks);
    // Most peers have spoken by then, and get the answer with it.
    this.hold(options.greeting);
    options.soon(() => this.write());
    socket.on('data', (chunk: Buffer) => this.receive(chunk));
    socket.on('drain', () => this.drained());
    socket.on('error', (error) => this.lose(error.message));
    socket.on('close', () => this.lose('the connection was closed'));
  }

  drain(): void {
    if (this.closed || this.draining) return;
    this.draining = true;
    // Streams that are on their way already are still answered, with a status.
    this.goAway(errorCode.noError, largestStream, '');
  }

  close(): void {
    if (this.closed) return;
    this.goAway(errorCode.noError, this.lastStream, '');
    this.lose('the server is shutting down');
    this.hangUp();
  }

  tick(): void {
    this.resets = 0;
    for (const stream of this.streams.values()) {
      if (stream.trailers === null) continue;
      if (stream.lingers) {
        this.forget(stream);
        this.reset(stream.id, errorCode.enhanceYourCalm);
      } else stream.lingers = true;
    }
    if (this.closed || (!this.alive && (this.pinged || !this.greeted))) this.socket.destroy();
    else if (this.streams.size === 0 && this.idle) {
      this.goAway(errorCode.noError, this.lastStream, 'nothing was asked for');
      this.lose('idle');
      this.hangUp();
    } else {
      this.pinged = !this.alive;
      if (this.pinged) this.say(keepalivePing);
    }
    this.alive = false;
    this.idle = this.streams.size === 0;
  }

  congested(): boolean {
    return this.socket.writableLength + this.saidBytes > unwrittenBytes;
  }

  private drained(): void {
    this.alive = true;
    for (const { reader } of this.streams.values()) reader.resume();
    this.socket.resume();
  }

  private lose(reason: string): void {
    this.closed = true;
    for (const stream of this.streams.values()) {
      stream.over = true;
      stream.reader.gone(reason);
    }
    this.streams.clear();
  }

  /** Ends the connection for the peer's fault. */
  private fail(code: ErrorCode, reason: string): void {
    if (this.closed) return;
    this.goAway(code, this.lastStream, reason);
    this.lose(reason);
    this.hangUp();
  }

  private hangUp(): void {
    this.write();
    this.socket.destroySoon();
  }

  /** Says frames; they go with what else is said while input is read, or at once. */
  private say(frames: Uint8Array): void {
    this.hold(frames);
    if (!this.receiving) this.write();
  }

  private hold(frames: Uint8Array): void {
    this.said.push(frames);
    this.saidBytes += frames.length;
  }

  private write(): void {
    const [first] = this.said;
    if (first === undefined || !this.socket.writable) return;
    if (this.said.length === 1) this.socket.write(first);
    else if (this.saidBytes <= joinedBytes) this.socket.write(Buffer.concat(this.said, this.saidBytes));
    else {
      this.socket.cork();
      for (const frames of this.said) this.socket.write(frames);
      this.socket.uncork();
    }
    this.said = [];
    this.saidBytes = 0;
  }

  private goAway(code: ErrorCode, last: number, reason: string): void {
    this.say(frame(frameType.goAway, 0, 0, Buffer.concat([words(last, code), Buffer.from(reason)])));
  }

  /** What was on its way while the stream ended here is passed over; after its own end a peer says no more. */
  private late(id: number, last: boolean): void {
    if (this.abandoned?.has(id) !== true) this.fail(errorCode.streamClosed, 'a frame on a closed stream');
    else if (last) this.abandoned?.delete(id);
  }

  /** Ends a stream that the peer has not ended. */
  private reset(id: number, code: ErrorCode): void {
    this.abandoned ??= new Set();
    this.abandoned.add(id);
    forgetOldest(this.abandoned, abandonedStreams);
    this.say(frame(frameType.resetStream, 0, id, words(code)));
  }

  private forget(stream: OpenStream): void {
    stream.over = true;
    this.streams.delete(stream.id);
  }

  /** Ends one stream for the peer's fault. */
  private failStream(stream: OpenStream, code: ErrorCode, reason: string): void {
    this.reset(stream.id, code);
    this.forget(stream);
    stream.reader.gone(reason);
  }

  private receive(chunk: Buffer): void {
    this.alive = true;
    if (this.closed) return;
    this.receiving = true;
    let at = 0;
    while (!this.closed && at < chunk.length) {
      const bytes = this.rest === null ? this.unitBytes(chunk, at) : 0;
      if (this.greeted && this.rest === null && at + bytes <= chunk.length) {
        this.takeFrame(chunk, at, bytes);
        at += bytes;
      } else at = this.takePiece(chunk, at);
    }
    this.feed(null);
    this.receiving = false;
    // The answer to settings says nothing that a peer waits for: it may go with the first response.
    if (this.said.length === 1 && this.said[0] === settingsAck) this.options.soon(() => this.write());
    else this.write();
    if (this.socket.writableLength > unwrittenBytes) this.socket.pause();
  }

  /** Answers go out with the write that follows, and not after all other connections were read too. */
  private feed(next: OpenStream | null): void {
    const last = this.fed;
    this.fed = next;
    if (last !== null && last !== next) last.reader.allRead();
  }

  /** Of the preface or frame that begins there, or of its header while that is not whole. */
  private unitBytes(buffer: Buffer, at: number): number {
    if (!this.greeted) return preface.length;
    return buffer.length - at < frameHeaderBytes
      ? frameHeaderBytes
      : frameHeaderBytes + buffer.readUIntBE(at, 3);
  }

  /** Completes the frame that was cut short, or keeps what begins here; of what comes behind nothing is copied. */
  private takePiece(chunk: Buffer, at: number): number {
    const begun = this.rest;
    const missing = begun === null ? this.unitBytes(chunk, at) : this.unitBytes(begun, 0) - begun.length;
    const end = Math.min(at + missing, chunk.length);
    const part = chunk.subarray(at, end);
    const unit: Buffer = begun === null ? part : Buffer.concat([begun, part]);
    this.rest = null;
    if (!this.greeted) this.greet(unit);
    else this.takeFrame(unit, 0, this.unitBytes(unit, 0));
    return end;
  }

  private takeFrame(buffer: Buffer, at: number, bytes: number): void {
    if (bytes > frameHeaderBytes + frameBytes)
      this.fail(errorCode.frameSizeError, `a frame of ${bytes - frameHeaderBytes} bytes`);
    else if (buffer.length - at < bytes) this.rest = buffer;
    else {
      const id = buffer.readUInt32BE(at + 5) & largestStream;
      const payload =
        bytes === frameHeaderBytes ? noPayload : buffer.subarray(at + frameHeaderBytes, at + bytes);
      this.take(buffer[at + 3] ?? 0, buffer[at + 4] ?? 0, id, payload);
    }
  }

  private greet(begin: Buffer): void {
    if (preface.compare(begin, 0, begin.length, 0, begin.length) !== 0)
      this.fail(errorCode.protocolError, 'this is no HTTP/2');
    this.greeted = begin.length === preface.length;
    this.rest = this.greeted ? null : begin;
  }

  private take(type: number, flag: number, id: number, payload: Buffer): void {
    if (this.block !== null && (type !== frameType.continuation || id !== this.block.stream)) {
      this.fail(errorCode.protocolError, 'a header block is interrupted');
      return;
    }
    if (!this.settled && (type !== frameType.settings || (flag & flags.ack) !== 0)) {
      this.fail(errorCode.protocolError, 'the first frame is not SETTINGS');
      return;
    }
    switch (type) {
      case frameType.data:
        this.takeData(flag, id, payload);
        break;
      case frameType.headers:
        this.takeHeaders(flag, id, payload);
        break;
      case frameType.continuation:
        this.takeContinuation(flag, payload);
        break;
      case frameType.resetStream:
        this.takeReset(id, payload);
        break;
      case frameType.settings:
        this.takeSettings(flag, id, payload);
        break;
      case frameType.ping:
        if (id !== 0) this.fail(errorCode.protocolError, 'PING on a stream');
        else if (payload.length !== 8) this.fail(errorCode.frameSizeError, 'PING is not 8 bytes');
        else if ((flag & flags.ack) === 0) this.say(frame(frameType.ping, flags.ack, 0, payload));
        break;
      case frameType.windowUpdate:
        this.takeWindowUpdate(id, payload);
        break;
      case frameType.goAway:
        if (id !== 0) this.fail(errorCode.protocolError, 'GOAWAY on a stream');
        break;
      case frameType.priority:
        if (id === 0) this.fail(errorCode.protocolError, 'PRIORITY without a stream');
        else if (payload.length !== 5) this.fail(errorCode.frameSizeError, 'PRIORITY is not 5 bytes');
        break;
      case frameType.pushPromise:
        this.fail(errorCode.protocolError, 'a client pushes');
        break;
      default:
      // Types that are not known are passed over (4.1).
    }
  }

  private takeData(flag: number, id: number, payload: Buffer): void {
    if (id === 0 || id > this.lastStream) {
      this.fail(errorCode.protocolError, 'DATA on no stream');
      return;
    }
    this.unreturned += payload.length;
    if (this.unreturned > receiveWindow) {
      this.fail(errorCode.flowControlError, 'more DATA than the window lets through');
      return;
    }
    if (this.unreturned >= receiveWindow / 2) {
      this.say(frame(frameType.windowUpdate, 0, 0, words(this.unreturned)));
      this.unreturned = 0;
    }
    const bytes = withoutPadding(flag, payload);
    if (bytes === null) {
      this.fail(errorCode.protocolError, 'padding larger than its frame');
      return;
    }
    const stream = this.streams.get(id);
    if (stream === undefined) {
      this.late(id, (flag & flags.endStream) !== 0);
      return;
    }
    if (stream.peerEnded) {
      this.failStream(stream, errorCode.streamClosed, 'DATA after the end of the stream');
      return;
    }
    stream.unreturned += payload.length;
    if (stream.unreturned > receiveWindow) {
      this.failStream(stream, errorCode.flowControlError, 'more DATA than the window lets through');
      return;
    }
    this.feed(stream);
    if (bytes.length > 0) stream.reader.data(bytes);
    if ((flag & flags.endStream) !== 0) this.peerEnds(stream);
    else this.returnWindow(stream);
  }

  /** A peer that does not take what is sent may not send either. */
  private returnWindow(stream: OpenStream): void {
    if (stream.unreturned < receiveWindow / 2 || stream.queue !== null || stream.over) return;
    this.say(frame(frameType.windowUpdate, 0, stream.id, words(stream.unreturned)));
    stream.unreturned = 0;
  }

  private peerEnds(stream: OpenStream): void {
    stream.peerEnded = true;
    stream.reader.ended();
  }

  private takeHeaders(flag: number, id: number, payload: Buffer): void {
    if (id % 2 === 0) {
      this.fail(errorCode.protocolError, 'HEADERS on no stream of a client');
      return;
    }
    const unpadded = withoutPadding(flag, payload);
    const skipped = (flag & flags.priority) === 0 ? 0 : 5;
    if (unpadded === null || unpadded.length < skipped) {
      this.fail(errorCode.protocolError, 'padding larger than its frame');
      return;
    }
    const part = skipped === 0 ? unpadded : unpadded.subarray(skipped);
    const endStream = (flag & flags.endStream) !== 0;
    if ((flag & flags.endHeaders) !== 0) this.takeBlock(id, endStream, part);
    else this.block = { stream: id, endStream, parts: [Buffer.from(part)], bytes: part.length };
  }

  private takeContinuation(flag: number, payload: Buffer): void {
    if (this.block === null) {
      this.fail(errorCode.protocolError, 'CONTINUATION of nothing');
      return;
    }
    const { stream, endStream, parts } = this.block;
    parts.push(Buffer.from(payload));
    this.block.bytes += payload.length;
    if (parts.length > continuations || this.block.bytes > headerBlockBytes) {
      this.fail(errorCode.enhanceYourCalm, 'a header block is too large');
    } else if ((flag & flags.endHeaders) !== 0) {
      this.block = null;
      this.takeBlock(stream, endStream, Buffer.concat(parts));
    }
  }

  private takeBlock(id: number, endStream: boolean, bytes: Buffer): void {
    let headers: RequestHeaders | string;
    try {
      // Decoded in any case: the table is one for the whole connection.
      headers = requestHeaders(this.decoder.decode(bytes));
    } catch (error) {
      this.fail(errorCode.compressionError, error instanceof Error ? error.message : String(error));
      return;
    }
    const known = this.streams.get(id);
    if (known !== undefined) {
      if (known.peerEnded)
        this.failStream(known, errorCode.streamClosed, 'HEADERS after the end of the stream');
      else if (!endStream)
        this.failStream(known, errorCode.protocolError, 'a second HEADERS that ends nothing');
      else this.peerEnds(known);
      return;
    }
    if (id <= this.lastStream) {
      this.late(id, endStream);
      return;
    }
    this.lastStream = id;
    if (typeof headers === 'string') this.reset(id, errorCode.protocolError);
    else if (this.streams.size >= this.options.streams) this.reset(id, errorCode.refusedStream);
    else this.open(id, headers, endStream);
  }

  private open(id: number, headers: RequestHeaders, endStream: boolean): void {
    this.idle = false;
    const stream = new OpenStream(this, id, this.peerWindow);
    this.streams.set(id, stream);
    stream.reader = this.options.accept(stream, headers);
    if (endStream) this.peerEnds(stream);
  }

  private takeReset(id: number, payload: Buffer): void {
    if (id === 0 || id > this.lastStream) this.fail(errorCode.protocolError, 'RST_STREAM on no stream');
    else if (payload.length !== 4) this.fail(errorCode.frameSizeError, 'RST_STREAM is not 4 bytes');
    else if (++this.resets > resetsPerTick)
      this.fail(errorCode.enhanceYourCalm, 'too many streams were reset');
    else {
      const stream = this.streams.get(id);
      this.abandoned?.delete(id);
      if (stream === undefined) return;
      this.forget(stream);
      stream.reader.gone('cancelled by the client');
    }
  }

  private takeSettings(flag: number, id: number, payload: Buffer): void {
    const ack = (flag & flags.ack) !== 0;
    if (id !== 0) this.fail(errorCode.protocolError, 'SETTINGS on a stream');
    else if (payload.length % 6 !== 0 || (ack && payload.length > 0))
      this.fail(errorCode.frameSizeError, 'SETTINGS of a wrong size');
    if (this.closed || ack) return;
    this.settled = true;
    for (let at = 0; at < payload.length; at += 6)
      this.takeSetting(payload.readUInt16BE(at), payload.readUInt32BE(at + 2));
    if (this.closed) return;
    this.say(settingsAck);
    this.flushAll();
  }

  private takeSetting(id: number, value: number): void {
    if (id === settingId.enablePush && value > 1) this.fail(errorCode.protocolError, 'ENABLE_PUSH is 0 or 1');
    if (id === settingId.maxFrameSize && (value < frameBytes || value >= 2 ** 24))
      this.fail(errorCode.protocolError, 'MAX_FRAME_SIZE is out of range');
    if (id !== settingId.initialWindowSize) return;
    if (value > largestWindow) {
      this.fail(errorCode.flowControlError, 'INITIAL_WINDOW_SIZE is out of range');
      return;
    }
    for (const stream of this.streams.values()) {
      stream.sendWindow += value - this.peerWindow;
      if (stream.sendWindow > largestWindow)
        this.fail(errorCode.flowControlError, 'a window is out of range');
    }
    this.peerWindow = value;
  }

  private takeWindowUpdate(id: number, payload: Buffer): void {
    if (payload.length !== 4) {
      this.fail(errorCode.frameSizeError, 'WINDOW_UPDATE is not 4 bytes');
      return;
    }
    if (id > this.lastStream) {
      this.fail(errorCode.protocolError, 'WINDOW_UPDATE on no stream');
      return;
    }
    const more = payload.readUInt32BE(0) & largestWindow;
    const stream = this.streams.get(id);
    if (id === 0) {
      this.sendWindow += more;
      if (more === 0) this.fail(errorCode.protocolError, 'WINDOW_UPDATE of 0');
      else if (this.sendWindow > largestWindow)
        this.fail(errorCode.flowControlError, 'a window is out of range');
      else this.flushAll();
    } else if (stream !== undefined) {
      stream.sendWindow += more;
      if (more === 0) this.failStream(stream, errorCode.protocolError, 'WINDOW_UPDATE of 0');
      else if (stream.sendWindow > largestWindow)
        this.failStream(stream, errorCode.flowControlError, 'a window is out of range');
      else if (stream.queue !== null) this.flush(stream);
    }
  }

  private flushAll(): void {
    for (const stream of this.streams.values()) {
      if (this.sendWindow <= 0) return;
      if (stream.queue !== null) this.flush(stream);
    }
  }

  send(stream: OpenStream, parts: readonly Uint8Array[]): void {
    if (stream.over || stream.trailers !== null) return;
    const message = outgoingMessage(parts, stream.id);
    const { first, later, bytes } = message;
    const opens = !stream.answered;
    stream.answered = true;
    if (
      stream.queue === null &&
      later.length === 0 &&
      bytes <= this.sendWindow &&
      bytes <= stream.sendWindow
    ) {
      this.sendWindow -= bytes;
      stream.sendWindow -= bytes;
      this.hold(opens ? openingFrames(message, this.options.responseHeaders) : first.frames);
    } else {
      if (opens)
        this.hold(frame(frameType.headers, flags.endHeaders, stream.id, this.options.responseHeaders));
      if (stream.queue !== null) stream.queue.push(message);
      else {
        stream.queue = [message];
        this.flush(stream);
      }
    }
    if (!this.receiving) this.write();
  }

  /** Sends what the windows let through, and the trailers when nothing is left. */
  private flush(stream: OpenStream): void {
    const { queue } = stream;
    for (let first = queue?.[0]; queue !== null && first !== undefined; first = queue[0]) {
      const window = Math.min(this.sendWindow, stream.sendWindow);
      if (window <= 0) return;
      const { frames, bytes } = nextFrames(first, window);
      this.hold(frames);
      if (this.saidBytes >= headStartBytes && this.socket.writableLength === 0) this.write();
      this.sendWindow -= bytes;
      stream.sendWindow -= bytes;
      stream.lingers = false;
      if (isSent(first)) queue.shift();
    }
    stream.queue = null;
    if (stream.trailers !== null) this.finish(stream, stream.trailers);
    else if (queue !== null) {
      stream.reader.resume();
      this.returnWindow(stream);
    }
  }

  end(stream: OpenStream, trailers: Uint8Array, discard: boolean): void {
    if (stream.over || stream.trailers !== null) return;
    stream.trailers = trailers;
    if (stream.queue !== null && discard) {
      const [first] = stream.queue;
      if (first !== undefined && isBegun(first)) {
        // Half a message stands before the trailers, so they cannot be said.
        this.forget(stream);
        this.reset(stream.id, errorCode.enhanceYourCalm);
        return;
      }
      stream.queue = null;
    }
    if (stream.queue === null) this.finish(stream, trailers);
  }

  private finish(stream: OpenStream, trailers: Uint8Array): void {
    this.forget(stream);
    this.hold(frame(frameType.headers, flags.endHeaders | flags.endStream, stream.id, trailers));
    if (!stream.peerEnded) this.reset(stream.id, errorCode.noError);
    else if (!this.receiving) this.write();
  }
}

/** Null: the padding is larger than the frame. */
function withoutPadding(flag: number, payload: Buffer): Buffer | null {
  if ((flag & flags.padded) === 0) return payload;
  const padding = payload[0] ?? 0;
  return padding >= payload.length ? null : payload.subarray(1, payload.length - padding);
}
