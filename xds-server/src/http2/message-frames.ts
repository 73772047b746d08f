import { flags, frame, frameBytes, frameHeaderBytes, frameType, writeHeader } from './frames.ts';

/** A gRPC message on its way out: its prefix and its parts, in DATA frames of one stream. */
export interface OutgoingMessage {
  readonly stream: number;
  readonly first: FirstPart;
  /** Put into frames when their turn comes, so that the first ones need not wait for all. */
  readonly later: readonly Uint8Array[];
  /** Prefix and message. */
  readonly bytes: number;
  /** The part that is being sent, and how much of it is. */
  part: number;
  sentBytes: number;
}

/** A part in DATA frames, each full but the last. */
interface FramedPart {
  readonly stream: number;
  readonly frames: Buffer;
  readonly bytes: number;
}

interface FirstPart extends FramedPart {
  readonly messageBytes: number;
  /** The same behind the header block that opens a stream; made when a stream first needs it. */
  opening: { readonly headers: Uint8Array; readonly frames: Buffer } | null;
}

/** gRPC's: whether the message is compressed, and its length. */
const prefixBytes = 5;
const fullFrame = frameHeaderBytes + frameBytes;
const nothing = Buffer.alloc(0);

/** Streams of many connections have the same number: the same part is the same frames there. */
const framedFirst = new WeakMap<Uint8Array, FirstPart>();
const framedLater = new WeakMap<Uint8Array, FramedPart>();

/** `parts` are shared: the frames of a part are made once for all streams with the same number. */
export function outgoingMessage(parts: readonly Uint8Array[], stream: number): OutgoingMessage {
  const [head = nothing] = parts;
  const later = parts.length > 1 ? parts.slice(1) : noParts;
  let messageBytes = head.length;
  for (const part of later) messageBytes += part.length;
  let first = framedFirst.get(head);
  if (first?.stream !== stream || first.messageBytes !== messageBytes) {
    const prefix = Buffer.alloc(prefixBytes);
    prefix.writeUInt32BE(messageBytes, 1);
    first = { ...framed(prefix, head, stream), messageBytes, opening: null };
    framedFirst.set(head, first);
  }
  return { stream, first, later, bytes: prefixBytes + messageBytes, part: 0, sentBytes: 0 };
}

const noParts: readonly Uint8Array[] = Object.freeze([]);

/** The frames of a message in one part, as a stream begins with them: shared as well. */
export function openingFrames({ first, stream }: OutgoingMessage, headers: Uint8Array): Buffer {
  if (first.opening?.headers === headers) return first.opening.frames;
  const frames = Buffer.concat([frame(frameType.headers, flags.endHeaders, stream, headers), first.frames]);
  first.opening = { headers, frames };
  return frames;
}

/** The part that is being sent; undefined: all are. */
function currentPart({ stream, first, later, part }: OutgoingMessage): FramedPart | undefined {
  if (part === 0) return first;
  const bytes = later[part - 1];
  if (bytes === undefined) return undefined;
  const known = framedLater.get(bytes);
  if (known?.stream === stream) return known;
  const made = framed(nothing, bytes, stream);
  framedLater.set(bytes, made);
  return made;
}

function framed(prefix: Uint8Array, body: Uint8Array, stream: number): FramedPart {
  const bytes = prefix.length + body.length;
  const count = Math.ceil(bytes / frameBytes);
  const frames = Buffer.allocUnsafe(bytes + count * frameHeaderBytes);
  for (let index = 0; index < count; index += 1) {
    const from = index * frameBytes;
    const length = Math.min(frameBytes, bytes - from);
    const at = index * fullFrame;
    writeHeader(frames, at, length, frameType.data, 0, stream);
    const skip = index === 0 ? prefix.length : 0;
    if (skip > 0) frames.set(prefix, at + frameHeaderBytes);
    const part = body.subarray(from + skip - prefix.length, from + length - prefix.length);
    frames.set(part, at + frameHeaderBytes + skip);
  }
  return { stream, frames, bytes };
}

export function isSent({ part, later }: OutgoingMessage): boolean {
  return part > later.length;
}

export function isBegun({ part, sentBytes }: OutgoingMessage): boolean {
  return part > 0 || sentBytes > 0;
}

/** Takes the next frames with at most this much payload; it is more than nothing. */
export function nextFrames(
  message: OutgoingMessage,
  mostBytes: number,
): { readonly frames: Buffer; readonly bytes: number } {
  const part = currentPart(message);
  if (part === undefined) return { frames: nothing, bytes: 0 };
  const { sentBytes, stream } = message;
  const left = part.bytes - sentBytes;
  const within = sentBytes % frameBytes;
  const at = Math.floor(sentBytes / frameBytes) * fullFrame;
  if (within === 0 && mostBytes >= left) {
    message.part += 1;
    message.sentBytes = 0;
    return { frames: at === 0 ? part.frames : part.frames.subarray(at), bytes: left };
  }
  const whole = within === 0 ? Math.floor(mostBytes / frameBytes) : 0;
  if (whole > 0) {
    message.sentBytes += whole * frameBytes;
    return { frames: part.frames.subarray(at, at + whole * fullFrame), bytes: whole * frameBytes };
  }
  // The window is smaller than a frame, or was: a frame of its own.
  const bytes = Math.min(mostBytes, frameBytes - within, left);
  message.sentBytes += bytes;
  if (message.sentBytes === part.bytes) {
    message.part += 1;
    message.sentBytes = 0;
  }
  const from = at + frameHeaderBytes + within;
  return { frames: frame(frameType.data, 0, stream, part.frames.subarray(from, from + bytes)), bytes };
}
