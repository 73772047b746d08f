import { frame, frameBytes, frameHeaderBytes, frameType, writeHeader } from './frames.ts';

/** A gRPC message on its way out: its prefix and its parts, in DATA frames of one stream. */
export interface OutgoingMessage {
  /** All frames, when the message is one part. */
  readonly whole: Buffer | null;
  readonly parts: readonly FramedPart[];
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

/** gRPC's: whether the message is compressed, and its length. */
const prefixBytes = 5;
const fullFrame = frameHeaderBytes + frameBytes;
const nothing = Buffer.alloc(0);

/** Streams of many connections have the same number: the same part is the same frames there. */
const framedFirst = new WeakMap<Uint8Array, FramedPart & { readonly messageBytes: number }>();
const framedLater = new WeakMap<Uint8Array, FramedPart>();

/** `parts` are shared: the frames of a part are made once for all streams with the same number. */
export function outgoingMessage(parts: readonly Uint8Array[], stream: number): OutgoingMessage {
  const [head = nothing, ...later] = parts;
  let messageBytes = head.length;
  for (const part of later) messageBytes += part.length;
  let first = framedFirst.get(head);
  if (first?.stream !== stream || first.messageBytes !== messageBytes) {
    const prefix = Buffer.alloc(prefixBytes);
    prefix.writeUInt32BE(messageBytes, 1);
    first = { ...framed(prefix, head, stream), messageBytes };
    framedFirst.set(head, first);
  }
  const rest = later.map((part) => framedPart(part, stream));
  return {
    whole: rest.length === 0 ? first.frames : null,
    parts: [first, ...rest],
    bytes: prefixBytes + messageBytes,
    part: 0,
    sentBytes: 0,
  };
}

function framedPart(part: Uint8Array, stream: number): FramedPart {
  const known = framedLater.get(part);
  if (known?.stream === stream) return known;
  const made = framed(nothing, part, stream);
  framedLater.set(part, made);
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

export function isSent({ part, parts }: OutgoingMessage): boolean {
  return part === parts.length;
}

export function isBegun({ part, sentBytes }: OutgoingMessage): boolean {
  return part > 0 || sentBytes > 0;
}

/** Takes the next frames with at most this much payload; it is more than nothing. */
export function nextFrames(
  message: OutgoingMessage,
  stream: number,
  mostBytes: number,
): { readonly frames: Buffer; readonly bytes: number } {
  const part = message.parts[message.part];
  if (part === undefined) return { frames: nothing, bytes: 0 };
  const { sentBytes } = message;
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
